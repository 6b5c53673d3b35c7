"""A fleet's lease: who changes it now.

value            the lease as data, and what it means for a run. Pure
store            taken, renewed and given back in vCenter, by compare-and-swap on the record
renewal          renews it while the run lives;  watchdog: a module does not outlive its run
holder           who this process is, and whether another one lives
"""

from __future__ import annotations
