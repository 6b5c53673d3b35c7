package lab

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// whenOn runs f under the VM's operation lock if the VM has power.
func (l *Lab) whenOn(ctx *simulator.Context, ref types.ManagedObjectReference, wanted types.VirtualMachinePowerState, f func(*simulator.VirtualMachine, *machine) *failure) *failure {
	vm := l.vm(ref)
	if vm == nil {
		return wrapped(&types.ManagedObjectNotFound{Obj: ref})
	}
	m := l.machineOf(ref)
	m.op.Lock()
	defer m.op.Unlock()
	if failed := l.powerState(ctx, vm, poweredOn, wanted); failed != nil {
		return failed
	}
	return f(vm, m)
}

// PowerOffVMTask implements VirtualMachine.PowerOffVM_Task.
func (o *methodsObject) PowerOffVMTask(ctx *simulator.Context, req *types.PowerOffVM_Task) soap.HasFault {
	l := o.lab
	ref := l.task(ctx, req.This, "PowerOffVM_Task", "powerOff", func(ctx *simulator.Context) (types.AnyType, *failure) {
		return nil, l.whenOn(ctx, req.This, poweredOff, func(vm *simulator.VirtualMachine, m *machine) *failure {
			l.powerOff(ctx, vm, m, false)
			return nil
		})
	})
	return &methods.PowerOffVM_TaskBody{Res: &types.PowerOffVM_TaskResponse{Returnval: ref}}
}

// ResetVMTask implements VirtualMachine.ResetVM_Task: the VM keeps its host, address, disk and GPUs.
func (o *methodsObject) ResetVMTask(ctx *simulator.Context, req *types.ResetVM_Task) soap.HasFault {
	l := o.lab
	ref := l.task(ctx, req.This, "ResetVM_Task", "reset", func(ctx *simulator.Context) (types.AnyType, *failure) {
		return nil, l.restart(ctx, req.This, false)
	})
	return &methods.ResetVM_TaskBody{Res: &types.ResetVM_TaskResponse{Returnval: ref}}
}

func (l *Lab) restart(ctx *simulator.Context, ref types.ManagedObjectReference, soft bool) *failure {
	return l.whenOn(ctx, ref, poweredOn, func(vm *simulator.VirtualMachine, m *machine) *failure {
		m.running = false
		l.reportGuest(ctx, vm, m, false)
		if m.created && l.cfg.Runtime != nil {
			stop := l.cfg.Runtime.Kill
			if soft {
				stop = l.cfg.Runtime.Stop
			}
			if err := stop(m.guestName); err != nil {
				return failf(&types.GenericVmConfigFault{Reason: err.Error()}, "Failed to reset the virtual machine: %s", err)
			}
		}
		if err := l.startGuest(vm, m); err != nil {
			l.powerOff(ctx, vm, m, false)
			return failf(&types.GenericVmConfigFault{Reason: err.Error()}, "Failed to restart the virtual machine: %s", err)
		}
		l.setPower(ctx, vm, poweredOn)
		l.reportGuest(ctx, vm, m, true)
		return nil
	})
}

// SuspendVMTask refuses: a suspended guest is nothing that a fleet of GPU servers has.
func (o *methodsObject) SuspendVMTask(*simulator.Context, *types.SuspendVM_Task) soap.HasFault {
	return &methods.SuspendVM_TaskBody{Fault_: wrapped(new(types.NotSupported)).soapFault()}
}

// StandbyGuest refuses like SuspendVM_Task.
func (o *methodsObject) StandbyGuest(*simulator.Context, *types.StandbyGuest) soap.HasFault {
	return &methods.StandbyGuestBody{Fault_: wrapped(new(types.NotSupported)).soapFault()}
}

// toolsRun checks that a guest is there to be asked.
func (l *Lab) toolsRun(ctx *simulator.Context, ref types.ManagedObjectReference, wanted types.VirtualMachinePowerState) *failure {
	vm := l.vm(ref)
	if vm == nil {
		return wrapped(&types.ManagedObjectNotFound{Obj: ref})
	}
	if failed := l.powerState(ctx, vm, poweredOn, wanted); failed != nil {
		return failed
	}
	if l.machineOf(ref).image == "" {
		return failf(new(types.ToolsUnavailable), "Cannot complete operation because VMware Tools is not running in this virtual machine.")
	}
	return nil
}

// ShutdownGuest implements VirtualMachine.ShutdownGuest: it answers at once, the VM goes off when its guest is down.
func (o *methodsObject) ShutdownGuest(ctx *simulator.Context, req *types.ShutdownGuest) soap.HasFault {
	l := o.lab
	if failed := l.toolsRun(ctx, req.This, poweredOff); failed != nil {
		return &methods.ShutdownGuestBody{Fault_: failed.soapFault()}
	}
	own := childContext(ctx)
	go l.whenOn(own, req.This, poweredOff, func(vm *simulator.VirtualMachine, m *machine) *failure {
		l.powerOff(own, vm, m, true)
		return nil
	})
	return &methods.ShutdownGuestBody{Res: new(types.ShutdownGuestResponse)}
}

// RebootGuest implements VirtualMachine.RebootGuest.
func (o *methodsObject) RebootGuest(ctx *simulator.Context, req *types.RebootGuest) soap.HasFault {
	l := o.lab
	if failed := l.toolsRun(ctx, req.This, poweredOn); failed != nil {
		return &methods.RebootGuestBody{Fault_: failed.soapFault()}
	}
	own := childContext(ctx)
	go l.restart(own, req.This, true)
	return &methods.RebootGuestBody{Res: new(types.RebootGuestResponse)}
}

// DestroyTask implements VirtualMachine.Destroy_Task.
func (o *methodsObject) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	l := o.lab
	ref := l.task(ctx, req.This, "Destroy_Task", "destroy", func(ctx *simulator.Context) (types.AnyType, *failure) {
		vm := l.vm(req.This)
		if vm == nil {
			return nil, wrapped(&types.ManagedObjectNotFound{Obj: req.This})
		}
		m := l.machineOf(req.This)
		m.op.Lock()
		defer m.op.Unlock()
		if failed := l.powerState(ctx, vm, poweredOff, poweredOff); failed != nil {
			return nil, failed
		}
		m.remove(l)
		unlock := l.reg.AcquireLock(ctx, vm)
		defer unlock()
		if l.vm(req.This) == nil {
			return nil, wrapped(&types.ManagedObjectNotFound{Obj: req.This})
		}
		return l.inner(ctx, vm.DestroyTask(ctx, req).(*methods.Destroy_TaskBody).Res.Returnval)
	})
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: ref}}
}

// PowerOnMultiVMTask implements Datacenter.PowerOnMultiVM_Task: one task per VM, as DRS attempts them.
func (o *methodsObject) PowerOnMultiVMTask(ctx *simulator.Context, req *types.PowerOnMultiVM_Task) soap.HasFault {
	l := o.lab
	ref := l.task(ctx, req.This, "PowerOnMultiVM_Task", "powerOnVm", func(ctx *simulator.Context) (types.AnyType, *failure) {
		result := types.ClusterPowerOnVmResult{Attempted: []types.ClusterAttemptedVmInfo{}}
		for _, vm := range req.Vm {
			t := l.task(ctx, vm, "PowerOnVM_Task", "powerOn", func(ctx *simulator.Context) (types.AnyType, *failure) {
				return nil, l.powerOn(ctx, vm, nil)
			})
			result.Attempted = append(result.Attempted, types.ClusterAttemptedVmInfo{Vm: vm, Task: &t})
		}
		return result, nil
	})
	return &methods.PowerOnMultiVM_TaskBody{Res: &types.PowerOnMultiVM_TaskResponse{Returnval: ref}}
}
