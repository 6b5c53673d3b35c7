package lab

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// privileges says which privileges each write needs, after the vSphere API's own reference and "Required Privileges for
// Common Tasks" of VMware's security guide. A write that is not listed is denied to everybody but an administrator, so that
// a test notices what the documented role does not cover. What a ConfigSpec changes needs more: see specPrivileges.
var privileges = map[string][]string{
	"CloneVM_Task": {
		"VirtualMachine.Provisioning.DeployTemplate", "VirtualMachine.Inventory.CreateFromExisting", "VirtualMachine.Config.AddNewDisk",
		"Resource.AssignVMToPool", "Datastore.AllocateSpace", "Network.Assign",
	},
	"CreateVM_Task":           {"VirtualMachine.Inventory.Create", "Resource.AssignVMToPool", "Datastore.AllocateSpace"},
	"RegisterVM_Task":         {"VirtualMachine.Inventory.Register"},
	"UnregisterVM":            {"VirtualMachine.Inventory.Unregister"},
	"VirtualMachine.Destroy":  {"VirtualMachine.Inventory.Delete"},
	"ReconfigVM_Task":         {},
	"PowerOnVM_Task":          {"VirtualMachine.Interact.PowerOn"},
	"PowerOnMultiVM_Task":     {"VirtualMachine.Interact.PowerOn"},
	"PowerOffVM_Task":         {"VirtualMachine.Interact.PowerOff"},
	"ShutdownGuest":           {"VirtualMachine.Interact.PowerOff"},
	"ResetVM_Task":            {"VirtualMachine.Interact.Reset"},
	"RebootGuest":             {"VirtualMachine.Interact.Reset"},
	"RelocateVM_Task":         {"Resource.ColdMigrate", "Resource.AssignVMToPool"},
	"MigrateVM_Task":          {"Resource.HotMigrate"},
	"Rename_Task":             {"VirtualMachine.Config.Rename"},
	"CreateSnapshot_Task":     {"VirtualMachine.State.CreateSnapshot"},
	"CreateSnapshotEx_Task":   {"VirtualMachine.State.CreateSnapshot"},
	"RemoveSnapshot_Task":     {"VirtualMachine.State.RemoveSnapshot"},
	"RemoveAllSnapshots_Task": {"VirtualMachine.State.RemoveSnapshot"},
	"MarkAsTemplate":          {"VirtualMachine.Provisioning.MarkAsTemplate"},
	"MarkAsVirtualMachine":    {"VirtualMachine.Provisioning.MarkAsVM"},
	"CreateFolder":            {"Folder.Create"},
	"Folder.Destroy":          {"Folder.Delete"},
	"MoveIntoFolder_Task":     {"VirtualMachine.Inventory.Move"},
	"SetCustomValue":          {"Global.SetCustomField"},
	"SetField":                {"Global.SetCustomField"},
	"AddCustomFieldDef":       {"Global.ManageCustomFields"},
	"CancelTask":              {"Global.CancelTask"},
}

// specPrivileges is what the reference of VirtualMachineConfigSpec and VirtualMachineCloneSpec says of their fields
// ("Reconfigure privilege"); fields that are not here need none.
var specPrivileges = map[string]string{
	"extraConfig":                  "VirtualMachine.Config.AdvancedConfig",
	"numCPUs":                      "VirtualMachine.Config.CPUCount",
	"cpuHotAddEnabled":             "VirtualMachine.Config.CPUCount",
	"memoryMB":                     "VirtualMachine.Config.Memory",
	"memoryHotAddEnabled":          "VirtualMachine.Config.Memory",
	"cpuAllocation":                "VirtualMachine.Config.Resource",
	"memoryAllocation":             "VirtualMachine.Config.Resource",
	"memoryReservationLockedToMax": "VirtualMachine.Config.Resource",
	"latencySensitivity":           "VirtualMachine.Config.Resource",
	"instanceUuid":                 "VirtualMachine.Config.Settings",
	"uuid":                         "VirtualMachine.Config.Settings",
	"guestId":                      "VirtualMachine.Config.Settings",
	"flags":                        "VirtualMachine.Config.Settings",
	"bootOptions":                  "VirtualMachine.Config.Settings",
	"tools":                        "VirtualMachine.Config.Settings",
	"name":                         "VirtualMachine.Config.Rename",
	"annotation":                   "VirtualMachine.Config.Rename",
	"swapPlacement":                "VirtualMachine.Config.SwapPlacement",
	"managedBy":                    "VirtualMachine.Config.ManagedBy",
	"deviceGroups":                 "VirtualMachine.Config.AddRemoveDevice",
	"deviceChange.add":             "VirtualMachine.Config.AddRemoveDevice",
	"deviceChange.remove":          "VirtualMachine.Config.AddRemoveDevice",
	"deviceChange.edit":            "VirtualMachine.Config.EditDevice",
	"customization":                "VirtualMachine.Provisioning.Customize",
}

// born are the fields that every new VM has: with CreateVM_Task they change nothing.
var born = []string{"name", "guestId", "numCPUs", "memoryMB"}

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
func (l *Lab) Denied(user, method, kind string, fields func() []string) string {
	role := l.role(user)
	if role == "" {
		return ""
	}
	for _, needed := range needs(method, kind, fields) {
		if !l.grants(role, needed) {
			return needed
		}
	}
	return ""
}

// needs lists the privileges that a write needs, in the order of the table.
func needs(method, kind string, fields func() []string) []string {
	listed, ok := privileges[method]
	if method == "Destroy_Task" {
		listed, ok = privileges[kind+".Destroy"]
	}
	if !ok {
		return []string{"Lab.NotListed." + strings.TrimSuffix(method, "_Task")}
	}
	needed := slices.Clone(listed)
	if method != "CloneVM_Task" && method != "CreateVM_Task" && method != "ReconfigVM_Task" {
		return needed
	}
	for _, field := range fields() {
		if privilege, ok := specPrivileges[field]; ok && !(method == "CreateVM_Task" && slices.Contains(born, field)) {
			needed = append(needed, privilege)
		}
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
