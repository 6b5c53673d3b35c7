package lab

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// watcher hears of every object that comes, changes or goes: it keeps the names, fills in what clients need to
// parse a VM, and frees what a removed VM held, whichever way it went.
type watcher struct{ lab *Lab }

// Reference makes it an object of the registry's handlers.
func (w *watcher) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "LabWatcher", Value: "lab"}
}

// PutObject is called while a new VM is still locked by its maker.
func (w *watcher) PutObject(_ *simulator.Context, obj mo.Reference) {
	e, ok := obj.(mo.Entity)
	if !ok {
		return
	}
	l := w.lab
	l.mu.Lock()
	if e.Entity().Name != "" {
		l.names[obj.Reference()] = e.Entity().Name
	}
	var c *creation
	if e.Entity().Parent != nil && obj.Reference().Type == "VirtualMachine" {
		c = l.pending[*e.Entity().Parent]
	}
	l.mu.Unlock()
	vm, ok := obj.(*simulator.VirtualMachine)
	if !ok {
		return
	}
	fillVM(vm)
	if c != nil && c.unlock == nil {
		c.unlock = l.reg.AcquireLock(c.ctx, vm) // nobody sees it before it is whole
	}
}

// UpdateObject keeps names.
func (w *watcher) UpdateObject(_ *simulator.Context, obj mo.Reference, changes []types.PropertyChange) {
	for _, c := range changes {
		if name, ok := c.Val.(string); ok && c.Name == "name" {
			w.lab.mu.Lock()
			w.lab.names[obj.Reference()] = name
			w.lab.mu.Unlock()
		}
	}
}

// RemoveObject frees what a VM held.
func (w *watcher) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	l := w.lab
	l.mu.Lock()
	delete(l.names, ref)
	m := l.machines[ref]
	delete(l.machines, ref)
	l.mu.Unlock()
	if ref.Type != "VirtualMachine" {
		return
	}
	l.releaseGPUs(l.newContext(), ref)
	if m != nil {
		m.discard(l)
	}
}

// fillVM sets the required enumerations that the library leaves empty; pyVmomi refuses to parse a VM without them.
func fillVM(vm *simulator.VirtualMachine) {
	for _, r := range []*types.VirtualMachineRuntimeInfo{&vm.Runtime, &vm.Summary.Runtime} {
		if r.FaultToleranceState == "" {
			r.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
		}
		if r.RecordReplayState == "" {
			r.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
		}
	}
	if vm.Guest != nil && vm.Guest.GuestState == "" {
		vm.Guest.GuestState = string(types.VirtualMachineGuestStateNotRunning)
	}
	if vm.GuestHeartbeatStatus == "" {
		vm.GuestHeartbeatStatus = types.ManagedEntityStatusGray
	}
	if vm.Summary.QuickStats.GuestHeartbeatStatus == "" {
		vm.Summary.QuickStats.GuestHeartbeatStatus = types.ManagedEntityStatusGray
	}
	if c := vm.Config; c != nil {
		if c.GuestId == "" {
			c.GuestId, c.GuestFullName = "otherGuest", "Other (32-bit)"
		}
		if c.DefaultPowerOps.PowerOffType == "" {
			c.DefaultPowerOps = types.VirtualMachineDefaultPowerOpInfo{
				PowerOffType: "soft", SuspendType: "hard", ResetType: "soft",
				DefaultPowerOffType: "soft", DefaultSuspendType: "hard", DefaultResetType: "soft", StandbyAction: "checkpoint",
			}
		}
	}
}
