package lab

import (
	"fmt"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/site"
)

// hardware is what templates and VMs of the model file have in common.
type hardware struct {
	name, folder, cluster, host, datastore, network string
	cpu                                             int32
	memoryGB, diskGB                                int64
	firmware, version, guestID                      string
	profiles                                        []string
	extra                                           map[string]string
}

// add makes one VM of the model file.
func (b *builder) add(h hardware) (*simulator.VirtualMachine, error) {
	folder, err := b.folder(h.folder)
	if err != nil {
		return nil, err
	}
	spec := types.VirtualMachineConfigSpec{
		Name: h.name, NumCPUs: h.cpu, NumCoresPerSocket: types.NewInt32(1), MemoryMB: h.memoryGB << 10, GuestId: h.guestID,
		Firmware: h.firmware, Version: h.version,
		Files: &types.VirtualMachineFileInfo{VmPathName: fmt.Sprintf("[%s] %s", h.datastore, h.name)},
	}
	for k, v := range h.extra {
		spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: k, Value: v})
	}
	var devices object.VirtualDeviceList
	scsi, err := devices.CreateSCSIController("pvscsi")
	if err != nil {
		return nil, err
	}
	scsi.GetVirtualDevice().Key, scsi.GetVirtualDevice().DeviceInfo = 1000, &types.Description{Label: "SCSI controller 0", Summary: "VMware paravirtual SCSI"}
	devices = append(devices, scsi)
	disk := devices.CreateDisk(scsi.(types.BaseVirtualController), types.ManagedObjectReference{}, "")
	disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).ThinProvisioned = types.NewBool(true)
	disk.CapacityInKB = h.diskGB << 20
	disk.Key, disk.DeviceInfo = 2000, &types.Description{Label: "Hard disk 1"}
	devices = append(devices, disk)
	if h.network != "none" {
		card, err := devices.CreateEthernetCard("vmxnet3", b.backing(h.network))
		if err != nil {
			return nil, err
		}
		d, unit := card.GetVirtualDevice(), int32(7)
		d.Key, d.ControllerKey, d.UnitNumber, d.DeviceInfo = 4000, pciController, &unit, &types.Description{Label: "Network adapter 1"}
		devices = append(devices, card)
	}
	for i, name := range h.profiles {
		devices = append(devices, &types.VirtualPCIPassthrough{VirtualDevice: types.VirtualDevice{
			Key: int32(-100 - i), Backing: &types.VirtualPCIPassthroughVmiopBackingInfo{Vgpu: name},
		}})
	}
	if spec.DeviceChange, err = devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd); err != nil {
		return nil, err
	}
	for _, c := range spec.DeviceChange {
		if d := c.GetVirtualDeviceConfigSpec(); d.FileOperation != "" {
			d.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
		}
	}
	cluster := b.clusters[h.cluster]
	at := place{folder: folder, pool: *cluster.ResourcePool}
	if h.host != "" {
		at.host = b.hosts[h.host]
	} else {
		host, failed := b.lab.anyHost(at.pool, spec.Files, h.profiles)
		if failed != nil {
			return nil, fmt.Errorf("%s: %s", h.name, failed.text)
		}
		at.host = host
	}
	ref, failed := b.lab.create(childContext(b.ctx), &spec, at, nil)
	if failed != nil {
		return nil, fmt.Errorf("%s: %s", h.name, failed.text)
	}
	b.lab.machineOf(ref).pinned = h.host != ""
	return b.lab.vm(ref), nil
}

// backing connects a network card to a network of the datacenter.
func (b *builder) backing(network string) types.BaseVirtualDeviceBackingInfo {
	e := b.lab.reg.FindByName(network, b.dc.Network)
	if pg, ok := e.(*simulator.DistributedVirtualPortgroup); ok {
		dvs := b.lab.reg.Get(*pg.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
		return &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{
			Port: types.DistributedVirtualSwitchPortConnection{PortgroupKey: pg.Key, SwitchUuid: dvs.Uuid},
		}
	}
	return &types.VirtualEthernetCardNetworkBackingInfo{VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: network}}
}

func (b *builder) templates() error {
	for _, t := range b.spec.Templates {
		if t.Image != "" && b.lab.cfg.Runtime != nil && !b.lab.cfg.Images[t.Image] {
			return fmt.Errorf("template %s: no --image %s=… says which image its clones get", t.Name, t.Image)
		}
		vm, err := b.add(hardware{
			name: t.Name, folder: t.Folder, cluster: t.Cluster, datastore: t.Datastore, network: t.Network, cpu: t.CPU,
			memoryGB: t.MemoryGB, diskGB: t.DiskGB, firmware: t.Firmware, version: t.Hardware, guestID: t.GuestID, extra: t.ExtraConfig,
		})
		if err != nil {
			return err
		}
		b.lab.machineOf(vm.Self).image = t.Image
		if t.Snapshot != "" {
			body := vm.CreateSnapshotTask(b.ctx, &types.CreateSnapshot_Task{This: vm.Self, Name: t.Snapshot})
			if _, err := b.wait("snapshot of "+t.Name, body.(*methods.CreateSnapshot_TaskBody).Res.Returnval); err != nil {
				return err
			}
		}
		if err := faultOf("template "+t.Name, vm.MarkAsTemplate(&types.MarkAsTemplate{This: vm.Self})); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) vms() error {
	for _, v := range b.spec.VMs {
		if err := b.lab.addVM(b, v); err != nil {
			return err
		}
	}
	return nil
}

// addVM makes a VM of the model file, powers it on if it says so, and then breaks it if it says so.
func (l *Lab) addVM(b *builder, v site.VM) error {
	vm, err := b.add(hardware{
		name: v.Name, folder: v.Folder, cluster: v.Cluster, host: v.Host, datastore: v.Datastore, network: v.Network, cpu: v.CPU,
		memoryGB: v.MemoryGB, diskGB: v.DiskGB, firmware: "efi", version: "vmx-20", guestID: "ubuntu64Guest",
		profiles: v.GPUProfiles, extra: v.ExtraConfig,
	})
	if err != nil {
		return err
	}
	if m := l.machineOf(vm.Self); v.Image != "" {
		m.image, m.address = v.Image, l.addrs.take()
	}
	if v.Power == "on" {
		if failed := l.powerOn(childContext(b.ctx), vm.Self, nil); failed != nil {
			return fmt.Errorf("vm %s: %s", v.Name, failed.text)
		}
	}
	vm.Runtime.ConnectionState = types.VirtualMachineConnectionState(v.Connection)
	vm.Summary.Runtime.ConnectionState = vm.Runtime.ConnectionState
	if v.NoConfig {
		vm.Config = nil
	}
	return nil
}

// generate adds plain VMs by the thousand: one is made by the library, the others are copies of it, put straight into the inventory.
func (b *builder) generate(g site.Generate) error {
	cluster := b.clusters[g.Cluster]
	first, err := b.add(hardware{
		name: g.Prefix + "00000", folder: g.Folder, cluster: g.Cluster, datastore: b.spec.Datastores[0].Name, network: b.spec.Networks[0].Name,
		cpu: 2, memoryGB: 4, diskGB: 20, firmware: "efi", version: "vmx-20", guestID: "ubuntu64Guest",
	})
	if err != nil || g.VMs < 2 {
		return err
	}
	folder := b.lab.reg.Get(*first.Parent).(*simulator.Folder)
	pool := b.lab.reg.Get(*cluster.ResourcePool).(*simulator.ResourcePool)
	ds := b.lab.reg.Get(first.Datastore[0]).(*simulator.Datastore)
	for i := 1; i < g.VMs; i++ {
		host := b.lab.reg.Get(cluster.Host[i%len(cluster.Host)]).(*simulator.HostSystem)
		vm := b.copyOf(first, fmt.Sprintf("%s%05d", g.Prefix, i), host.Self, float64(i) < g.PoweredOn*float64(g.VMs))
		b.lab.reg.PutEntity(folder, vm)
		vm.Summary.Vm = &vm.Self
		folder.ChildEntity = append(folder.ChildEntity, vm.Self)
		host.Vm, pool.Vm, ds.Vm = append(host.Vm, vm.Self), append(pool.Vm, vm.Self), append(ds.Vm, vm.Self)
	}
	return nil
}
