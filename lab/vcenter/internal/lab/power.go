package lab

import (
	"log"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	poweredOn  = types.VirtualMachinePowerStatePoweredOn
	poweredOff = types.VirtualMachinePowerStatePoweredOff
)

// toolsDelay is how long after power-on tools report; a client that does not wait for updates should notice.
const toolsDelay = 150 * time.Millisecond

// powerOn takes room for the VM's vGPUs, starts its guest and shows it running. The VM's lock is only held for reading and
// for the final change: a guest takes a second to start, and reading must go on meanwhile.
func (l *Lab) powerOn(ctx *simulator.Context, ref types.ManagedObjectReference, host *types.ManagedObjectReference) *failure {
	vm := l.vm(ref)
	if vm == nil || vm.Config == nil {
		return wrapped(&types.ManagedObjectNotFound{Obj: ref})
	}
	m := l.machineOf(ref)
	m.op.Lock()
	defer m.op.Unlock()
	if failed := l.powerState(ctx, vm, poweredOff, poweredOn); failed != nil {
		return failed
	}
	if vm.Config.Template {
		return wrapped(new(types.InvalidState))
	}
	hosts, failed := l.candidates(ctx, vm, m, host)
	if failed != nil {
		return failed
	}
	var chosen types.ManagedObjectReference
	ctx.WithLock(vm, func() { chosen, failed = l.placeGPUs(vm, hosts) })
	if failed != nil {
		return failed
	}
	if err := l.startGuest(vm, m); err != nil {
		l.releaseGPUs(ctx, ref)
		log.Printf("%s: %s", vm.Name, err)
		return failf(&types.GenericVmConfigFault{Reason: err.Error()}, "Failed to power on the virtual machine: %s", err)
	}
	if chosen != *vm.Runtime.Host {
		l.move(ctx, vm, chosen)
	}
	l.setPower(ctx, vm, poweredOn)
	l.showGPUs(ctx, chosen)
	report := childContext(ctx)
	time.AfterFunc(toolsDelay, func() {
		m.op.Lock()
		defer m.op.Unlock()
		if vm.Runtime.PowerState == poweredOn && l.vm(ref) != nil {
			l.reportGuest(report, vm, m, true)
		}
	})
	return nil
}

// powerState checks that the VM has one state and says what was wanted if not.
func (l *Lab) powerState(ctx *simulator.Context, vm *simulator.VirtualMachine, has, wanted types.VirtualMachinePowerState) *failure {
	var state types.VirtualMachinePowerState
	ctx.WithLock(vm, func() { state = vm.Runtime.PowerState })
	if state != has {
		return wrapped(&types.InvalidPowerState{RequestedState: wanted, ExistingState: state})
	}
	return nil
}

// candidates lists the hosts on which a VM may be powered on, the one it is on first.
func (l *Lab) candidates(ctx *simulator.Context, vm *simulator.VirtualMachine, m *machine, named *types.ManagedObjectReference) ([]types.ManagedObjectReference, *failure) {
	current := *vm.Runtime.Host
	if named != nil {
		current = *named
	}
	all := []types.ManagedObjectReference{current}
	if !m.pinned && named == nil && vm.ResourcePool != nil {
		for _, ref := range l.clusterHosts(*vm.ResourcePool) {
			if ref != current {
				all = append(all, ref)
			}
		}
	}
	var hosts []types.ManagedObjectReference
	var failed *failure
	for _, ref := range all {
		h, ok := l.reg.Get(ref).(*simulator.HostSystem)
		if !ok {
			failed = wrapped(&types.ManagedObjectNotFound{Obj: ref})
			continue
		}
		var state types.HostSystemConnectionState
		var maintenance bool
		ctx.WithLock(h, func() { state, maintenance = h.Runtime.ConnectionState, h.Runtime.InMaintenanceMode })
		switch {
		case state != types.HostSystemConnectionStateConnected:
			failed = failf(&types.HostNotConnected{}, "Unable to communicate with the remote host '%s', since it is disconnected.", h.Name)
		case maintenance:
			failed = failf(new(types.InvalidState), "The operation is not allowed in the current state: host '%s' is in maintenance mode.", h.Name)
		default:
			hosts = append(hosts, ref)
		}
	}
	if len(hosts) == 0 {
		return nil, failed
	}
	return hosts, nil
}

// move puts a powered-off VM on another host of its cluster.
func (l *Lab) move(ctx *simulator.Context, vm *simulator.VirtualMachine, to types.ManagedObjectReference) {
	if from, ok := l.reg.Get(*vm.Runtime.Host).(*simulator.HostSystem); ok {
		l.reg.RemoveReference(ctx, from, &from.Vm, vm.Self)
	}
	if host, ok := l.reg.Get(to).(*simulator.HostSystem); ok {
		l.reg.AddReference(ctx, host, &host.Vm, vm.Self)
	}
	l.reg.AtomicUpdate(ctx, vm, []types.PropertyChange{{Name: "runtime.host", Val: &to}, {Name: "summary.runtime.host", Val: &to}})
}

// setPower shows a power state.
func (l *Lab) setPower(ctx *simulator.Context, vm *simulator.VirtualMachine, state types.VirtualMachinePowerState) {
	ctx.WithLock(vm, func() {
		changes := []types.PropertyChange{
			{Name: "runtime.powerState", Val: state}, {Name: "summary.runtime.powerState", Val: state},
		}
		if state == poweredOn {
			now := time.Now()
			changes = append(changes, types.PropertyChange{Name: "runtime.bootTime", Val: now},
				types.PropertyChange{Name: "summary.runtime.bootTime", Val: now})
		}
		devices := deepCopyDevices(vm.Config.Hardware.Device)
		for _, d := range devices {
			if c := d.GetVirtualDevice().Connectable; c != nil {
				c.Connected = state == poweredOn && c.StartConnected
			}
		}
		ctx.Update(vm, append(changes, types.PropertyChange{Name: "config.hardware.device", Val: devices}))
	})
}

// powerOff cuts the power, or with soft asks the guest to shut down first; m.op is held.
func (l *Lab) powerOff(ctx *simulator.Context, vm *simulator.VirtualMachine, m *machine, soft bool) {
	m.running = false
	if m.created && l.cfg.Runtime != nil {
		stop := l.cfg.Runtime.Kill
		if soft {
			stop = l.cfg.Runtime.Stop
		}
		if err := stop(m.guestName); err != nil {
			log.Printf("%s: stopping its guest: %s", m.guestName, err)
		}
	}
	l.setPower(ctx, vm, poweredOff)
	ctx.WithLock(vm, func() { unassign(cardDevices(vm.Config.Hardware.Device)) })
	l.reportGuest(ctx, vm, m, false)
	l.releaseGPUs(ctx, vm.Self)
}

// GuestEnded is called when a guest stopped by itself.
func (l *Lab) GuestEnded(name string) {
	l.mu.Lock()
	var m *machine
	for _, candidate := range l.machines {
		if candidate.created && candidate.guestName == name {
			m = candidate
		}
	}
	l.mu.Unlock()
	if m == nil {
		return
	}
	m.op.Lock()
	defer m.op.Unlock()
	if on, err := l.cfg.Runtime.Running(name); on || err != nil {
		return // the news is of a stop that a restart has overtaken
	}
	if vm := l.vm(m.ref); vm != nil && m.running {
		log.Printf("%s: its guest has ended, so the VM is off", name)
		l.powerOff(l.newContext(), vm, m, false)
	}
}

// PowerOnVMTask implements VirtualMachine.PowerOnVM_Task.
func (o *methodsObject) PowerOnVMTask(ctx *simulator.Context, req *types.PowerOnVM_Task) soap.HasFault {
	l := o.lab
	if vm := l.vm(req.This); vm != nil && vm.Config.Template {
		return &methods.PowerOnVM_TaskBody{Fault_: wrapped(new(types.InvalidState)).soapFault()}
	}
	ref := l.task(ctx, req.This, "PowerOnVM_Task", "powerOn", func(ctx *simulator.Context) (types.AnyType, *failure) {
		return nil, l.powerOn(ctx, req.This, req.Host)
	})
	return &methods.PowerOnVM_TaskBody{Res: &types.PowerOnVM_TaskResponse{Returnval: ref}}
}
