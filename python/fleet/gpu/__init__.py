"""GPUs of a site: what fits, where, how certain that is. Pure: no input, no output, nothing but the standard library.

What is told            ``model``      hosts, physical GPUs, occupants; ``observed`` and ``seating`` make them of what was read
What is known of cards  ``cards``      table; ``catalogue`` finds profiles by name; ``geometry`` MIG slices; ``tables`` the docs
One GPU                 ``state``      all arrangements it may be in; ``read`` from a report to a state; ``narrow`` by vSphere 9
The map                 ``capacity``   guaranteed, possible, why not; ``positions`` of slices; ``draw``, ``shapes``, ``summary``
One host                ``batches``    guaranteed batches against any manager; ``apart`` for servers that share no GPU
Placement               ``request`` → ``offer`` (a host's part) → ``choose`` (bags for hosts) → ``extras``, ``split``, ``seats``
                        → ``placement``; ``reasons`` for a refusal
Explanations            ``explain``; ``leaving`` who is in the way; ``fleet.foresight`` asks of servers that are not there yet

docs/gpu.md has the words, the rules and the proofs.
"""
