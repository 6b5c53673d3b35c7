"""What a task that failed leaves as a reason in vCenter: its message, that of a loop's first item, and nothing of secrets."""

from __future__ import annotations

import json

import pytest

FAIL = {"ansible.builtin.fail": {"msg": "no {{ item | default('disk') }}"}}
TASKS = {
    "plain": ({**FAIL}, "T: no disk"),
    "loop": ({**FAIL, "loop": ["a", "b", "c"], "when": "item != 'a'"}, "T: no b (and 1 more)"),
    "secret": ({**FAIL, "no_log": True}, "T: see the log"),
    "secret loop": ({**FAIL, "no_log": True, "loop": ["a"]}, "T: see the log"),
    "command": ({"ansible.builtin.command": "sh -c 'echo marked >&2; exit 1'"}, "T: non-zero return code"),
}


@pytest.mark.parametrize("kind", TASKS)
def test_reason(site, tmp_path, kind):
    task, wanted = TASKS[kind]
    result = {"ansible.builtin.copy": {"content": "{{ ansible_failed_result | fleet_reason(ansible_failed_task.name) }}"}}
    result["ansible.builtin.copy"]["dest"] = str(tmp_path / "reason")
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"block": [{"name": "T", **task}], "rescue": [result]}]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    run = site.ansible("ansible-playbook", str(tmp_path / "play.yml"))
    assert run.code == 0, run.text
    assert (tmp_path / "reason").read_text() == wanted
