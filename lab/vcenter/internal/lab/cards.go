package lab

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/gpu"
	"triton-fleet/lab/vcenter/internal/site"
)

// card is a PCI device of a host that is passed through whole, and the VM that has it ("" for none).
type card struct {
	site.Card
	vm string
}

func (c *card) ids() (vendor, device int32) {
	v, _ := strconv.ParseUint(c.VendorID, 16, 16)
	d, _ := strconv.ParseUint(c.DeviceID, 16, 16)
	return int32(v), int32(d)
}

// serves tells whether the card is what a VM's device asks for: its address, or its kind and label.
func (c *card) serves(device *types.VirtualPCIPassthrough) bool {
	switch b := device.Backing.(type) {
	case *types.VirtualPCIPassthroughDeviceBackingInfo:
		return strings.EqualFold(b.Id, c.Address)
	case *types.VirtualPCIPassthroughDynamicBackingInfo:
		vendor, kind := c.ids()
		for _, allowed := range b.AllowedDevice {
			if allowed.VendorId == vendor && allowed.DeviceId == kind && (b.CustomLabel == "" || b.CustomLabel == c.Label) {
				return true
			}
		}
	}
	return false
}

// cardDevices lists the devices of a VM that ask for a whole card.
func cardDevices(devices []types.BaseVirtualDevice) []*types.VirtualPCIPassthrough {
	var found []*types.VirtualPCIPassthrough
	for _, d := range devices {
		if p, ok := d.(*types.VirtualPCIPassthrough); ok {
			if _, isVGPU := p.Backing.(*types.VirtualPCIPassthroughVmiopBackingInfo); !isVGPU {
				found = append(found, p)
			}
		}
	}
	return found
}

// takeCards gives a VM the cards it asks for on a host, or nothing; gpuMu is held. A device that names its card's address
// chooses before those that take any of a kind, and one with a label before one without.
func (l *Lab) takeCards(vm string, wanted []*types.VirtualPCIPassthrough, host types.ManagedObjectReference) bool {
	wanted = slices.Clone(wanted)
	slices.SortStableFunc(wanted, func(a, b *types.VirtualPCIPassthrough) int { return freedom(a) - freedom(b) })
	for _, device := range wanted {
		taken := false
		for _, c := range l.cards[host] {
			if c.vm == "" && c.serves(device) {
				c.vm, taken = vm, true
				assign(device, c.Address)
				break
			}
		}
		if !taken {
			l.freeCards(vm)
			return false
		}
	}
	return true
}

// freedom orders devices by how much choice they leave.
func freedom(device *types.VirtualPCIPassthrough) int {
	switch b := device.Backing.(type) {
	case *types.VirtualPCIPassthroughDynamicBackingInfo:
		if b.CustomLabel == "" {
			return 2
		}
		return 1
	default:
		return 0
	}
}

// assign tells a device which card it has, as vCenter does while the VM is on; "" for none.
func assign(device *types.VirtualPCIPassthrough, address string) {
	if b, ok := device.Backing.(*types.VirtualPCIPassthroughDynamicBackingInfo); ok {
		b.AssignedId = address
	}
}

// unassign forgets the cards of devices: their VM is off.
func unassign(devices []*types.VirtualPCIPassthrough) {
	for _, device := range devices {
		assign(device, "")
	}
}

// freeCards takes a VM's cards back; gpuMu is held.
func (l *Lab) freeCards(vm string) {
	for _, cards := range l.cards {
		for _, c := range cards {
			if c.vm == vm {
				c.vm = ""
			}
		}
	}
}

// tellCards adds a host's cards and device groups to what its environment browser says.
func (l *Lab) tellCards(target *types.ConfigTarget, hosts []types.ManagedObjectReference) {
	l.gpuMu.Lock()
	defer l.gpuMu.Unlock()
	groups := map[string]bool{}
	for _, host := range hosts {
		for _, c := range l.cards[host] {
			vendor, kind := c.ids()
			target.PciPassthrough = append(target.PciPassthrough, &types.VirtualMachinePciPassthroughInfo{
				VirtualMachineTargetInfo: types.VirtualMachineTargetInfo{Name: c.Address}, SystemId: host.Value,
				PciDevice: types.HostPciDevice{
					Id: c.Address, VendorId: int16(vendor), DeviceId: int16(kind), VendorName: "NVIDIA Corporation", DeviceName: c.Model,
				},
			})
			target.DynamicPassthrough = append(target.DynamicPassthrough, types.VirtualMachineDynamicPassthroughInfo{
				VirtualMachineTargetInfo: types.VirtualMachineTargetInfo{Name: c.Model}, VendorName: "NVIDIA Corporation", DeviceName: c.Model,
				CustomLabel: c.Label, VendorId: vendor, DeviceId: kind,
			})
		}
		for _, name := range l.deviceGroups[host] {
			if !groups[name] {
				groups[name] = true
				target.VendorDeviceGroupInfo = append(target.VendorDeviceGroupInfo, deviceGroup(name))
			}
		}
	}
}

// deviceGroup describes a group such as Nvidia:2@grid_a100d-80c%NVLink: so many vGPUs on GPUs that are linked.
func deviceGroup(name string) types.VirtualMachineVendorDeviceGroupInfo {
	info := types.VirtualMachineVendorDeviceGroupInfo{
		VirtualMachineTargetInfo: types.VirtualMachineTargetInfo{Name: name}, DeviceGroupName: name,
	}
	count, profile, _ := gpu.ParseGroup(name)
	for i := range count {
		device := &types.VirtualPCIPassthrough{}
		device.Backing = &types.VirtualPCIPassthroughVmiopBackingInfo{Vgpu: profile}
		device.DeviceGroupInfo = &types.VirtualDeviceDeviceGroupInfo{SequenceId: int32(i + 1)}
		info.ComponentDeviceInfo = append(info.ComponentDeviceInfo, types.VirtualMachineVendorDeviceGroupInfoComponentDeviceInfo{
			Type: "pciPassthru", VendorName: "NVIDIA Corporation", DeviceName: profile, Device: device,
		})
	}
	return info
}

// numberGroups gives new device groups and their members the keys that they keep; clients send negative ones.
func numberGroups(spec *types.VirtualMachineConfigSpec) {
	if spec.DeviceGroups == nil {
		return
	}
	keys := map[int32]int32{}
	for i, group := range spec.DeviceGroups.DeviceGroup {
		g := group.GetVirtualMachineVirtualDeviceGroupsDeviceGroup()
		keys[g.GroupInstanceKey] = int32(i)
		g.GroupInstanceKey = int32(i)
	}
	for _, change := range spec.DeviceChange {
		if d := change.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice(); d.DeviceGroupInfo != nil {
			d.DeviceGroupInfo.GroupInstanceKey = keys[d.DeviceGroupInfo.GroupInstanceKey]
		}
	}
}

const displayClass = 0x0302 // a 3D controller: what a data centre's GPU is on the bus

// passThrough gives a host its cards and groups, and lists them among its PCI devices.
func (l *Lab) passThrough(host *simulator.HostSystem, spec site.Host) {
	l.gpuMu.Lock()
	defer l.gpuMu.Unlock()
	pci, info := slices.Clone(host.Hardware.PciDevice), slices.Clone(host.Config.PciPassthruInfo)
	for _, c := range spec.Cards {
		own := &card{Card: c}
		l.cards[host.Self] = append(l.cards[host.Self], own)
		vendor, kind := own.ids()
		pci = append(pci, types.HostPciDevice{
			Id: c.Address, ClassId: displayClass, VendorId: int16(vendor), DeviceId: int16(kind),
			VendorName: "NVIDIA Corporation", DeviceName: c.Model,
		})
		info = append(info, &types.HostPciPassthruInfo{
			Id: c.Address, DependentDevice: c.Address, PassthruEnabled: true, PassthruCapable: true, PassthruActive: true,
			HardwareLabel: c.Label,
		})
	}
	host.Hardware.PciDevice, host.Config.PciPassthruInfo = pci, info
	l.deviceGroups[host.Self] = spec.DeviceGroups
}
