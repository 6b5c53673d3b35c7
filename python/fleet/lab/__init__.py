"""The embedded lab: a vCenter with GPU hosts and container-backed VMs on this machine.

    api       up, down, status: what the CLI and the tests call
    build     lab-vcenter (Go) and the cache of everything that is built
    images    the VM templates and the Triton image in them
    docker    the docker command line, its errors as sentences
    network   a subnet that collides with nobody's
    keys      TLS, SSH and the password
    process   the one background process: started, recorded, ended
    leaks     search for planted secrets, for scenarios and tests

Nothing outside this package knows the lab; to the rest of the project it is a site like any other.
"""

from __future__ import annotations
