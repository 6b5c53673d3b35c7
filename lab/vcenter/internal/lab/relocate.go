package lab

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// RelocateVMTask implements VirtualMachine.RelocateVM_Task for powered-off VMs. The library's leaves the VM in the lists of the
// host and the pool that it left, where it is met again after it was destroyed.
func (o *methodsObject) RelocateVMTask(ctx *simulator.Context, req *types.RelocateVM_Task) soap.HasFault {
	l := o.lab
	ref := l.task(ctx, req.This, "RelocateVM_Task", "relocate", func(ctx *simulator.Context) (types.AnyType, *failure) {
		return nil, l.relocate(ctx, req)
	})
	return &methods.RelocateVM_TaskBody{Res: &types.RelocateVM_TaskResponse{Returnval: ref}}
}

func (l *Lab) relocate(ctx *simulator.Context, req *types.RelocateVM_Task) *failure {
	vm := l.vm(req.This)
	if vm == nil {
		return wrapped(&types.ManagedObjectNotFound{Obj: req.This})
	}
	m := l.machineOf(req.This)
	m.op.Lock()
	defer m.op.Unlock()
	if failed := l.powerState(ctx, vm, poweredOff, poweredOff); failed != nil {
		return failed
	}
	spec := req.Spec
	for _, target := range []*types.ManagedObjectReference{spec.Host, spec.Pool, spec.Datastore, spec.Folder} {
		if target != nil && l.reg.Get(*target) == nil {
			return wrapped(&types.ManagedObjectNotFound{Obj: *target})
		}
	}
	host, pool := spec.Host, spec.Pool
	spec.Host, spec.Pool = nil, nil
	if spec.Datastore != nil || spec.Folder != nil || len(spec.DeviceChange) > 0 {
		unlock := l.reg.AcquireLock(ctx, vm)
		body := vm.RelocateVMTask(ctx, &types.RelocateVM_Task{This: req.This, Spec: spec}).(*methods.RelocateVM_TaskBody)
		_, failed := l.inner(ctx, body.Res.Returnval)
		unlock()
		if failed != nil {
			return failed
		}
	}
	if pool != nil {
		l.intoPool(ctx, vm, *pool)
	}
	if host != nil {
		l.move(ctx, vm, *host)
		m.pinned = true
	}
	return nil
}

// intoPool makes a VM a resource pool's.
func (l *Lab) intoPool(ctx *simulator.Context, vm *simulator.VirtualMachine, to types.ManagedObjectReference) {
	if vm.ResourcePool != nil {
		if from, ok := l.reg.Get(*vm.ResourcePool).(*simulator.ResourcePool); ok {
			l.reg.RemoveReference(ctx, from, &from.Vm, vm.Self)
		}
	}
	if pool, ok := l.reg.Get(to).(*simulator.ResourcePool); ok {
		l.reg.AddReference(ctx, pool, &pool.Vm, vm.Self)
	}
	l.reg.AtomicUpdate(ctx, vm, []types.PropertyChange{{Name: "resourcePool", Val: &to}})
}
