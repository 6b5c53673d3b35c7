package lab

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// ReconfigVMTask implements VirtualMachine.ReconfigVM_Task.
func (o *methodsObject) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	l := o.lab
	ref := l.task(ctx, req.This, "ReconfigVM_Task", "reconfigure", func(ctx *simulator.Context) (types.AnyType, *failure) {
		return nil, l.reconfigure(ctx, req)
	})
	return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: ref}}
}

// reconfigure holds the VM's lock from the comparison of changeVersion to the new one: of racing writers exactly one wins.
func (l *Lab) reconfigure(ctx *simulator.Context, req *types.ReconfigVM_Task) *failure {
	vm := l.vm(req.This)
	if vm == nil {
		return wrapped(&types.ManagedObjectNotFound{Obj: req.This})
	}
	defer l.reg.AcquireLock(ctx, vm)()
	if v := req.Spec.ChangeVersion; v != "" && v != vm.Config.ChangeVersion {
		return wrapped(&types.ConcurrentAccess{})
	}
	spec := req.Spec
	spec.ChangeVersion = ""
	if failed := l.checkReconfigure(vm, &spec); failed != nil {
		return failed
	}
	if vm.Config.CpuAllocation != nil && vm.Config.MemoryAllocation != nil {
		spec.CpuAllocation = mergeAllocation(*vm.Config.CpuAllocation, spec.CpuAllocation)
		spec.MemoryAllocation = mergeAllocation(*vm.Config.MemoryAllocation, spec.MemoryAllocation)
	}
	spec.ExtraConfig = presentOptions(vm.Config.ExtraConfig, spec.ExtraConfig)
	l.assignKeys(spec.DeviceChange, vm.Config.Hardware.Device)
	body := vm.ReconfigVMTask(ctx, &types.ReconfigVM_Task{This: req.This, Spec: spec})
	if _, failed := l.inner(ctx, body.(*methods.ReconfigVM_TaskBody).Res.Returnval); failed != nil {
		return failed
	}
	applyRest(vm.Config, &spec)
	ctx.Update(vm, []types.PropertyChange{{Name: "config.changeVersion", Val: fmt.Sprint(l.nextVersion())}})
	return nil
}

// checkReconfigure refuses device changes that a running VM, or the VM's host, cannot take.
func (l *Lab) checkReconfigure(vm *simulator.VirtualMachine, spec *types.VirtualMachineConfigSpec) *failure {
	for _, change := range spec.DeviceChange {
		_, isPCI := change.GetVirtualDeviceConfigSpec().Device.(*types.VirtualPCIPassthrough)
		if isPCI && vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
			return wrapped(&types.InvalidPowerState{
				RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: vm.Runtime.PowerState,
			})
		}
	}
	if vm.Runtime.Host == nil {
		return nil
	}
	host, ok := l.reg.Get(*vm.Runtime.Host).(*simulator.HostSystem)
	if !ok {
		return nil
	}
	return l.checkDevices(spec.DeviceChange, host)
}

// presentOptions drops removals of keys that are not there, which the library would add with an empty value.
func presentOptions(present, wanted []types.BaseOptionValue) []types.BaseOptionValue {
	have := map[string]bool{}
	for _, o := range present {
		have[o.GetOptionValue().Key] = true
	}
	var kept []types.BaseOptionValue
	for _, o := range wanted {
		v := o.GetOptionValue()
		if s, ok := v.Value.(string); (ok && s == "" && !have[v.Key]) || reservedKey(v.Key) {
			continue
		}
		kept = append(kept, o)
	}
	return kept
}
