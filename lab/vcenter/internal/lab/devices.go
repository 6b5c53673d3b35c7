package lab

import (
	"fmt"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	pciController = 100   // every VM's PCI controller
	firstGPUKey   = 13000 // as vCenter numbers passthrough devices
)

// profilesOf lists the vGPU types among a VM's devices, in the order of their keys.
func profilesOf(devices []types.BaseVirtualDevice) []string {
	names, _ := vgpusOf(devices)
	return names
}

// vgpusOf lists the vGPU types among a VM's devices, and for each the number of its device group, from 1 on (0: none).
func vgpusOf(devices []types.BaseVirtualDevice) (names []string, groups []int) {
	for _, d := range devices {
		if p, ok := d.(*types.VirtualPCIPassthrough); ok {
			if b, ok := p.Backing.(*types.VirtualPCIPassthroughVmiopBackingInfo); ok {
				group := 0
				if p.DeviceGroupInfo != nil {
					group = int(p.DeviceGroupInfo.GroupInstanceKey) + 1
				}
				names, groups = append(names, b.Vgpu), append(groups, group)
			}
		}
	}
	return names, groups
}

// assignKeys numbers and labels new vGPU devices as vCenter does, and gives network cards addresses that are unique in
// this vCenter (the library's come from three hexadecimal digits).
func (l *Lab) assignKeys(changes []types.BaseVirtualDeviceConfigSpec, present []types.BaseVirtualDevice) {
	next := int32(firstGPUKey)
	for _, d := range present {
		if _, ok := d.(*types.VirtualPCIPassthrough); ok {
			next = max(next, d.GetVirtualDevice().Key+1)
		}
	}
	for _, change := range changes {
		s := change.GetVirtualDeviceConfigSpec()
		if s.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			continue
		}
		switch d := s.Device.(type) {
		case *types.VirtualPCIPassthrough:
			if s.Operation != types.VirtualDeviceConfigSpecOperationAdd {
				continue
			}
			index := next - firstGPUKey
			unit := 18 + index
			d.Key, d.ControllerKey, d.UnitNumber = next, pciController, &unit
			next++
			summary := "PCI device"
			if b, ok := d.Backing.(*types.VirtualPCIPassthroughVmiopBackingInfo); ok {
				summary = "NVIDIA GRID vGPU " + b.Vgpu
			}
			d.DeviceInfo = &types.Description{Label: fmt.Sprintf("PCI device %d", index), Summary: summary}
		case types.BaseVirtualEthernetCard:
			card := d.GetVirtualEthernetCard()
			if card.AddressType != string(types.VirtualEthernetCardMacTypeManual) || card.MacAddress == "" {
				card.AddressType = string(types.VirtualEthernetCardMacTypeAssigned)
				if s.Operation == types.VirtualDeviceConfigSpecOperationAdd || card.MacAddress == "" {
					card.MacAddress = l.newMAC()
				}
			}
		}
	}
}

// newMAC takes the next address of the range from which a vCenter assigns.
func (l *Lab) newMAC() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.macs++
	return fmt.Sprintf("00:50:56:%02x:%02x:%02x", 0x80+l.macs>>16&0x3f, l.macs>>8&0xff, l.macs&0xff)
}

// copyDevices makes the device changes that give a clone its source's devices. Default devices come by themselves; a disk
// becomes a new file, or with linked a child of the source's.
func copyDevices(source []types.BaseVirtualDevice, linked bool) []types.BaseVirtualDeviceConfigSpec {
	defaults := object.VirtualDeviceList(esx.VirtualDevice)
	devices := object.VirtualDeviceList(deepCopyDevices(source))
	var changes []types.BaseVirtualDeviceConfigSpec
	for _, d := range devices {
		if defaults.Find(devices.Name(d)) != nil {
			continue
		}
		change := &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: d}
		switch d := d.(type) {
		case *types.VirtualDisk:
			change.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
			if b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				parent := *b
				b.FileName, b.Parent, b.Uuid, b.Datastore = "", nil, "", nil
				if linked {
					b.Parent = &parent
				}
			}
		case types.BaseVirtualEthernetCard:
			if card := d.GetVirtualEthernetCard(); card.AddressType != string(types.VirtualEthernetCardMacTypeManual) {
				card.MacAddress = ""
			}
		}
		changes = append(changes, change)
	}
	return changes
}

// mergeDevices applies a clone's own device changes to those copied from its source.
func mergeDevices(base, own []types.BaseVirtualDeviceConfigSpec) ([]types.BaseVirtualDeviceConfigSpec, *failure) {
	out := append([]types.BaseVirtualDeviceConfigSpec(nil), base...)
	for i, change := range own {
		s := change.GetVirtualDeviceConfigSpec()
		if s.Device == nil {
			return nil, wrapped(&types.InvalidArgument{InvalidProperty: "deviceChange.device"})
		}
		at := -1
		for j, b := range out {
			if b.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice().Key == s.Device.GetVirtualDevice().Key {
				at = j
			}
		}
		if s.Operation == types.VirtualDeviceConfigSpecOperationAdd {
			out = append(out, change)
			continue
		}
		if at < 0 {
			fault := &types.InvalidDeviceSpec{DeviceIndex: int32(i)}
			fault.Property = fmt.Sprintf("deviceChange[%d].device.key", i)
			return nil, failf(fault, "Invalid configuration for device '%d'.", i)
		}
		if s.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			out = append(out[:at], out[at+1:]...)
			continue
		}
		edited := *out[at].GetVirtualDeviceConfigSpec()
		old := edited.Device.GetVirtualDevice()
		d := s.Device.GetVirtualDevice()
		if d.ControllerKey == 0 {
			d.ControllerKey = old.ControllerKey
		}
		if d.UnitNumber == nil {
			d.UnitNumber = old.UnitNumber
		}
		if d.Backing == nil {
			d.Backing = old.Backing
		}
		edited.Device = s.Device
		out[at] = &edited
	}
	return out, nil
}

// mergeOptions puts own over base by key; an empty value removes.
func mergeOptions(base, own []types.BaseOptionValue) []types.BaseOptionValue {
	values, order := map[string]types.AnyType{}, []string{}
	for _, o := range append(append([]types.BaseOptionValue(nil), base...), own...) {
		v := o.GetOptionValue()
		if _, ok := values[v.Key]; !ok {
			order = append(order, v.Key)
		}
		values[v.Key] = v.Value
	}
	var out []types.BaseOptionValue
	for _, key := range order {
		if s, ok := values[key].(string); (ok && s == "") || key == "govcsim" || strings.HasPrefix(key, "RUN.") {
			continue
		}
		out = append(out, &types.OptionValue{Key: key, Value: values[key]})
	}
	return out
}
