"""What each vCenter module does: one function a module, from its parameters to its answer in plain JSON values.

Without consent (the fleet's name in ``confirm``) a plan that removes, adopts or disowns is made and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.domain.identity import STATES
from fleet.errors import NotConfirmedError, UsageError
from fleet.operations import adopt
from fleet.operations import resize as resizing
from fleet.operations.fleet import FirstBoot, Limits
from fleet.planning.placement import Terms
from fleet.service import answers, retry, scale
from fleet.service.session import open_fleet
from fleet.site.ssh_key import public_keys

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from fleet.operations.fleet import Controller

Params = Mapping[str, Any]


def server(params: Params, *, check: bool) -> dict[str, Any]:
    """What the module ``fleet_server`` does: observe, retry, scale out, scale in, destroy.

    Raises:
        NotConfirmedError: servers would be removed without consent.
        FleetError: anything else.
    """
    state = params["state"]
    with _opened(params) as controller:
        if state == "observed":
            return answers.observe(controller)
        if state == "retried":
            answer = retry.retry(controller, params["servers"], check=check)
        elif state == "present":
            answer = _present(controller, params, check=check)
        else:
            answer = _drain_or_remove(controller, params, check=check)
    return _with_diff(answer)


def adoption(params: Params, *, check: bool) -> dict[str, Any]:
    """What the module ``fleet_adoption`` does: plan and carry out an adoption, or the opposite.

    Raises:
        NotConfirmedError: the plan changes something, and nobody consented.
        FleetError: anything else.
    """
    state = params["state"]
    if params["size"] is not None or params["add"] is not None:
        raise UsageError("fleet_size and fleet_add have no meaning here: the target follows the VMs that come or go.")
    with _opened(params) as controller:
        if state in ("planned", "adopted"):
            plan = adopt.plan_adopt(controller, params["vms"], params["role"], ssh_args=params["ssh_args"])
        else:
            plan = adopt.plan_disown(controller, params["vms"])
        writes = plan.changes and not check
        if writes:
            _require_consent(params, plan.lines())
        if state == "adopted" and writes:
            adopt.adopt(controller, plan, params["serving"])
        if state == "disowned" and writes:
            adopt.disown(controller, plan)
        gone = {vm.moid for vm in plan.disown} if state == "leaving" else set()
        changed = plan.changes and state in ("adopted", "disowned")
        return _with_diff(adopt.answer(controller, plan, changed=changed, without=gone))


def resize(params: Params, *, check: bool) -> dict[str, Any]:
    """What the module ``fleet_resize`` does: plan other GPUs for servers, or take one server one step further.

    Raises:
        UsageError: a step other than the plan is for one server.
        NotConfirmedError: the plan changes something, and nobody consented.
        FleetError: anything else.
    """
    how = {"gpus": params["gpus"], "profile": params["profile"], "terms": Terms(allow_possible=params["allow_possible"])}
    state, names, ssh_args = params["state"], params["servers"], params["ssh_args"]
    if state != "planned" and len(names) != 1:
        raise UsageError("servers: exactly one is changed at a time.")
    with _opened(params) as controller:
        if state == "planned":
            answer = resizing.planned(controller, names, at_once=params["at_once"], **how)
            if answer["changed"] and not check:
                _require_consent(params, answer["plan_lines"])
            return answer
        if check:
            return {"changed": True}
        if state == "changed":
            return resizing.change(controller, names[0], beside=params["beside"], ssh_args=ssh_args, **how)
        if state == "restored":
            return resizing.restore(controller, names[0], ssh_args=ssh_args)
        return resizing.finish(controller, names[0], params["outcome"], params["reason"])


def member(params: Params, *, check: bool) -> dict[str, Any]:
    """What the module ``fleet_member`` does: write the state and the reason of members.

    Raises:
        UsageError: an entry of ``states`` is not a state.
        QuarantinedError: ``strict``, and a member of the fleet is quarantined.
        FleetError: anything else.
    """
    states = {name: _state(name, entry) for name, entry in params["states"].items()}
    with _opened(params) as controller:
        names = controller.mark(states, check=check, strict=params["strict"])
    return {"changed": bool(names), "marked": names}


def _opened(params: Params) -> AbstractContextManager[Controller]:
    limits = Limits(**params.get("limits", {}))
    return open_fleet(params["site_file"], params["fleet"], limits=limits, run=params["run"])


def _present(controller: Controller, params: Params, *, check: bool) -> dict[str, Any]:
    keys, own, note = params["authorized_keys"], None, None
    if not keys:
        keys, own, note = public_keys(Path(params["site_file"]).parent.name, params["private_key_file"], make=not check)
    answer = scale.present(
        controller,
        FirstBoot(params["user"], keys, params["ssh_args"]),
        size=params["size"],
        add=params["add"],
        more=params["more"],
        request_id=params["request_id"],
        terms=Terms(partial=params["partial"], allow_possible=params["allow_possible"]),
        check=check,
    )
    if note:
        answer["notes"] = [note, *answer["notes"]]
    return answer | ({"private_key_file": str(own)} if own else {})


def _drain_or_remove(controller: Controller, params: Params, *, check: bool) -> dict[str, Any]:
    confirmed = params["confirm"] == params["fleet"]
    step = _drain if params["state"] == "draining" else _remove
    answer = step(controller, params, check=check or not confirmed)
    if answer["changed"] and not check:
        _require_consent(params, answer["plan_lines"])
    return answer


def _drain(controller: Controller, params: Params, *, check: bool) -> dict[str, Any]:
    if params["add"] is not None:
        raise UsageError("fleet_add adds servers, and scaling in never does: use scale_out.yml or fleet add-vm.")
    return scale.drain(
        controller,
        names=params["servers"],
        count=params["count"],
        size=params["size"],
        order=params["order"],
        max_remove=params["max_remove"],
        more=params["more"],
        request_id=params["request_id"],
        shown=params["shown"],
        check=check,
    )


def _remove(controller: Controller, params: Params, *, check: bool) -> dict[str, Any]:
    return scale.remove(
        controller,
        names=params["servers"],
        drained=params["plan"],
        close=params["close"],
        everything=params["state"] == "destroyed",
        confirm=params["confirm"],
        shown=params["shown"],
        check=check,
    )


def _require_consent(params: Params, lines: Iterable[str]) -> None:
    fleet = params["fleet"]
    if params["confirm"] != fleet:
        raise NotConfirmedError(
            f"Nothing was done. The plan for fleet {fleet}: {'; '.join(line.strip() for line in lines)}. "
            f"Consent with --yes (fleet) or -e fleet_confirm={fleet} (ansible-playbook)."
        )


def _with_diff(answer: dict[str, Any]) -> dict[str, Any]:
    """The changes of the plan for ``--diff``; indented lines are notes."""
    lines = [line for line in answer["plan_lines"] if not line.startswith("  ")]
    after = "".join(f"{line}\n" for line in lines) if answer["changed"] else ""
    return answer | {"diff": {"before": "", "after": after}}


def _state(name: str, entry: object) -> tuple[str, str | None]:
    state = entry.get("state") if isinstance(entry, Mapping) else None
    if not isinstance(entry, Mapping) or state not in STATES:
        raise UsageError(f"states: {name} needs a state ({', '.join(STATES)}) and may have a reason, not {entry!r}.")
    return state, entry.get("reason") or None
