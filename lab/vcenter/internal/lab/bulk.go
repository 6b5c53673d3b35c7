package lab

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// copyOf makes a VM like another without asking the library; what two VMs may not share is its own.
func (b *builder) copyOf(first *simulator.VirtualMachine, name string, host types.ManagedObjectReference, on bool) *simulator.VirtualMachine {
	vm := &simulator.VirtualMachine{VirtualMachine: first.VirtualMachine, DataSets: map[string]*simulator.DataSet{}}
	vm.Self, vm.Name = types.ManagedObjectReference{}, name
	id, instance := uuid.NewString(), uuid.NewString()
	config := *first.Config
	config.Name, config.Uuid, config.InstanceUuid, config.ChangeVersion = name, id, instance, fmt.Sprint(b.lab.nextVersion())
	for _, path := range []*string{&config.Files.VmPathName, &config.Files.SnapshotDirectory, &config.Files.SuspendDirectory, &config.Files.LogDirectory} {
		*path = strings.ReplaceAll(*path, first.Name, name) // destroying one must not delete another's files
	}
	config.ExtraConfig = append([]types.BaseOptionValue(nil), first.Config.ExtraConfig...)
	config.Hardware.Device = append([]types.BaseVirtualDevice(nil), first.Config.Hardware.Device...)
	for i, d := range config.Hardware.Device {
		if c, ok := d.(*types.VirtualVmxnet3); ok {
			card := *c
			card.MacAddress = b.lab.newMAC()
			config.Hardware.Device[i] = &card
		}
	}
	vm.Config = &config
	guest, summaryGuest := *first.Guest, *first.Summary.Guest
	vm.Guest, vm.Summary.Guest = &guest, &summaryGuest
	vm.Runtime.Host, vm.Summary.Runtime.Host = &host, &host
	vm.Summary.Config.Name, vm.Summary.Config.Uuid, vm.Summary.Config.InstanceUuid = name, id, instance
	vm.Summary.Config.VmPathName = config.Files.VmPathName
	if on {
		now := time.Now()
		vm.Runtime.PowerState, vm.Summary.Runtime.PowerState = poweredOn, poweredOn
		vm.Runtime.BootTime, vm.Summary.Runtime.BootTime = &now, &now
	}
	return vm
}
