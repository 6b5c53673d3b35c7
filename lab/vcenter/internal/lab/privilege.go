package lab

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// privileges says which privilege each write needs, after the vSphere API's own reference. A write that is not listed is
// denied to everybody but an administrator, so that a test notices what the documented role does not cover.
var privileges = map[string]string{
	"CloneVM_Task":            "VirtualMachine.Provisioning.DeployTemplate",
	"CreateVM_Task":           "VirtualMachine.Inventory.Create",
	"RegisterVM_Task":         "VirtualMachine.Inventory.Register",
	"UnregisterVM":            "VirtualMachine.Inventory.Unregister",
	"VirtualMachine.Destroy":  "VirtualMachine.Inventory.Delete",
	"ReconfigVM_Task":         "VirtualMachine.Config.AdvancedConfig",
	"PowerOnVM_Task":          "VirtualMachine.Interact.PowerOn",
	"PowerOnMultiVM_Task":     "VirtualMachine.Interact.PowerOn",
	"PowerOffVM_Task":         "VirtualMachine.Interact.PowerOff",
	"ShutdownGuest":           "VirtualMachine.Interact.PowerOff",
	"ResetVM_Task":            "VirtualMachine.Interact.Reset",
	"RebootGuest":             "VirtualMachine.Interact.Reset",
	"RelocateVM_Task":         "Resource.ColdMigrate",
	"MigrateVM_Task":          "Resource.HotMigrate",
	"Rename_Task":             "VirtualMachine.Config.Rename",
	"CreateSnapshot_Task":     "VirtualMachine.State.CreateSnapshot",
	"CreateSnapshotEx_Task":   "VirtualMachine.State.CreateSnapshot",
	"RemoveSnapshot_Task":     "VirtualMachine.State.RemoveSnapshot",
	"RemoveAllSnapshots_Task": "VirtualMachine.State.RemoveSnapshot",
	"MarkAsTemplate":          "VirtualMachine.Provisioning.MarkAsTemplate",
	"MarkAsVirtualMachine":    "VirtualMachine.Provisioning.MarkAsVM",
	"CreateFolder":            "Folder.Create",
	"Folder.Destroy":          "Folder.Delete",
	"MoveIntoFolder_Task":     "VirtualMachine.Inventory.Move",
	"SetCustomValue":          "Global.SetCustomField",
	"SetField":                "Global.SetCustomField",
	"AddCustomFieldDef":       "Global.ManageCustomFields",
	"CancelTask":              "Global.CancelTask",
}

const adminRole = "admin"

// role is a user's role, "" for nobody.
func (l *Lab) role(user string) string {
	for _, u := range l.cfg.Site.Users {
		if u.Name == user {
			return u.Role
		}
	}
	return ""
}

// grants tells whether a role has a privilege; everybody who may log in may read.
func (l *Lab) grants(role, privilege string) bool {
	if role == adminRole || privilege == "System.Anonymous" || privilege == "System.View" || privilege == "System.Read" {
		return true
	}
	for _, r := range l.cfg.Site.Roles {
		if r.Name == role && slices.Contains(r.Privileges, privilege) {
			return true
		}
	}
	return false
}

// Denied says which privilege a user lacks for a call, "" for none. Roles hold for the whole inventory.
func (l *Lab) Denied(user, method, kind string, write bool) string {
	role := l.role(user)
	if !write || role == "" {
		return ""
	}
	needed, ok := privileges[method]
	if method == "Destroy_Task" {
		needed, ok = privileges[kind+".Destroy"]
	}
	if !ok {
		needed = "Lab.NotListed." + strings.TrimSuffix(method, "_Task")
	}
	if l.grants(role, needed) {
		return ""
	}
	return needed
}

// HasPrivilegeOnEntities implements AuthorizationManager.HasPrivilegeOnEntities.
func (o *methodsObject) HasPrivilegeOnEntities(_ *simulator.Context, req *types.HasPrivilegeOnEntities) soap.HasFault {
	role := o.lab.role(o.lab.User(req.SessionId))
	res := &types.HasPrivilegeOnEntitiesResponse{}
	for _, entity := range req.Entity {
		e := types.EntityPrivilege{Entity: entity}
		for _, id := range req.PrivId {
			e.PrivAvailability = append(e.PrivAvailability, types.PrivilegeAvailability{PrivId: id, IsGranted: role != "" && o.lab.grants(role, id)})
		}
		res.Returnval = append(res.Returnval, e)
	}
	return &methods.HasPrivilegeOnEntitiesBody{Res: res}
}
