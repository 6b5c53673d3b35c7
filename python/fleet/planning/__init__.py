"""Plan: what to change, from spec, record and state. Pure.

scale_out        up to the target;  scale_in: which servers go;  resize: other GPUs;  adopt: who may come and go
requests         open requests of the record: a repeat does not double
placement        a fleet's servers as a request to ``gpu.placement``;  vgpus: what each server is to hold
template_check   whether a template can become such a server;  what_if: a site as it would be
serial           which server is next in a series;  stats_secret: the secret of the balancers' statistics page
"""

from __future__ import annotations
