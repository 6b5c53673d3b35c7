package lab

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// methodsObject receives the methods that the lab implements itself. The library dispatches by the object's
// reference, and its own code insists on its own types in the registry, so replacing a VM's type is not possible:
// instead the call is sent here, with the VM still named in the request's body.
type methodsObject struct {
	lab  *Lab
	Self types.ManagedObjectReference
}

// Reference makes it an object of the registry.
func (o *methodsObject) Reference() types.ManagedObjectReference { return o.Self }

// Lock and Unlock opt out of the library's lock per object: these methods run side by side.
func (o *methodsObject) Lock() {}

// Unlock is Lock's counterpart.
func (o *methodsObject) Unlock() {}

// redirected lists the methods that methodsObject implements, by the type of their object.
var redirected = map[string]map[string]bool{
	"VirtualMachine": {
		"CloneVM_Task": true, "ReconfigVM_Task": true, "PowerOnVM_Task": true, "PowerOffVM_Task": true, "ResetVM_Task": true,
		"SuspendVM_Task": true, "RelocateVM_Task": true, "Destroy_Task": true, "ShutdownGuest": true, "RebootGuest": true, "StandbyGuest": true,
	},
	"Folder":             {"CreateVM_Task": true},
	"Datacenter":         {"PowerOnMultiVM_Task": true},
	"ViewManager":        {"CreateContainerView": true},
	"SearchIndex":        {"FindByUuid": true, "FindAllByUuid": true},
	"EnvironmentBrowser": {"QueryConfigTarget": true, "QueryConfigOptionEx": true},
	// The library grants everything to everybody.
	"AuthorizationManager": {"HasPrivilegeOnEntities": true},
}

// hook sees every decoded call before it is dispatched.
func (l *Lab) hook(ctx *simulator.Context, m *simulator.Method) (ref mo.Reference, fault types.BaseMethodFault) {
	if s := ctx.Session; s != nil {
		l.Learn(s.Key, s.UserName)
	}
	if m.This.Type == "VirtualMachine" {
		if vm := l.vm(m.This); vm != nil && vm.Config == nil {
			return nil, new(types.InvalidState) // a VM that is only half there can be looked at, nothing else
		}
	}
	if redirected[m.This.Type][m.Name] && ctx.Session != nil {
		if l.reg.Get(m.This) == nil {
			return nil, &types.ManagedObjectNotFound{Obj: m.This}
		}
		m.This = l.methods
	}
	return nil, nil
}
