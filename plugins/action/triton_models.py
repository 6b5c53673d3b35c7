# Copyright: the triton-fleet authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's half of triton_models: checksums of the source, one archive of what the target lacks. Logic: fleet.client.model_source."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:
    from fleet.client.model_source.fetch import is_url, shown
    from fleet.client.model_source.source import Source
    from fleet.errors import FleetError
    from fleet.guest.models.manifest import to_json
except ImportError as error:
    raise ImportError(
        f"triton_models needs the Python package fleet next to Ansible: pip install . in this project ({error})"
    ) from error


class ActionModule(ActionBase):
    TRANSFERS_FILES = True
    _requires_connection = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        # The controller alone fetches the models: the target receives neither a signed URL nor a header.
        given, digest, headers = (arguments.pop(name, None) for name in ("source", "checksum", "headers"))
        if not given:
            raise AnsibleActionFail("triton_models: source is missing")
        arguments["source"] = shown(given)
        try:
            source = Source(given if is_url(given) else self._loader.path_dwim(given), digest=digest or "", headers=headers)
            items = source.items()
        except FleetError as problem:
            raise AnsibleActionFail(str(problem)) from problem
        arguments["_manifest"] = to_json(items)
        result = self._execute_module("triton_models", module_args=arguments, task_vars=task_vars)
        if not result.pop("again", False):
            return result
        self._make_tmp_path()
        folder = self._connection._shell.tmpdir
        try:
            remote = self._connection._shell.join_path(folder, "models.tar")
            with source.archive(items, result["copied"]) as archive:
                self._transfer_file(str(archive), remote)
            self._fixup_perms2((folder, remote))
            arguments["_archive"] = remote
            return self._execute_module("triton_models", module_args=arguments, task_vars=task_vars)
        finally:
            self._remove_tmp_path(folder)
