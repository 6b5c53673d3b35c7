# GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_reason
short_description: Says why a task failed
description:
  - The task's name and its message. Of a loop, the message of the first item that failed, and how many more did.
  - Results under C(no_log) say only where to look. Standard error is left out, too: it may hold what nobody should read.
positional: task
options:
  _input:
    description: C(ansible_failed_result), in a C(rescue).
    type: dict
    required: true
  task:
    description: The task's name.
    type: str
    required: true
author: [triton-fleet]
"""

EXAMPLES = r"""
- name: Note why it is not admitted
  ansible.builtin.set_fact:
    fleet_outcome: {state: quarantined, reason: "{{ ansible_failed_result | fleet_reason(ansible_failed_task.name) }}"}
"""

RETURN = r"""
_value:
  description: The reason, without the values of the loop's items.
  type: str
"""


def fleet_reason(result: dict, task: str) -> str:
    failed = [one for one in result.get("results") or () if isinstance(one, dict) and one.get("failed")] or [result]
    censored = any(one.get("_ansible_no_log") or "censored" in one for one in (result, failed[0]))
    message = None if censored else failed[0].get("msg")
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{task}: {str(message or 'see the log').strip()}{more}"


class FilterModule:
    """Wires the filter; its name, and nothing else, is what Ansible reads."""

    def filters(self) -> dict:
        return {"fleet_reason": fleet_reason}
