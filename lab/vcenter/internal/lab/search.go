package lab

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/gpu"
)

// byUUID finds VMs or hosts; the library's own search stumbles over a VM without a configuration.
func (l *Lab) byUUID(uuid string, vms, instance bool) []types.ManagedObjectReference {
	var found []types.ManagedObjectReference
	if !vms {
		for _, e := range l.reg.All("HostSystem") {
			if h, ok := e.(*simulator.HostSystem); ok && h.Summary.Hardware.Uuid == uuid {
				found = append(found, h.Self)
			}
		}
		return found
	}
	for _, e := range l.reg.All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok || vm.Config == nil {
			continue
		}
		if (instance && vm.Config.InstanceUuid == uuid) || (!instance && vm.Config.Uuid == uuid) {
			found = append(found, vm.Self)
		}
	}
	return found
}

// FindByUuid implements SearchIndex.FindByUuid.
func (o *methodsObject) FindByUuid(_ *simulator.Context, req *types.FindByUuid) soap.HasFault {
	body := &methods.FindByUuidBody{Res: &types.FindByUuidResponse{}}
	if found := o.lab.byUUID(req.Uuid, req.VmSearch, req.InstanceUuid != nil && *req.InstanceUuid); len(found) > 0 {
		body.Res.Returnval = &found[0]
	}
	return body
}

// FindAllByUuid implements SearchIndex.FindAllByUuid.
func (o *methodsObject) FindAllByUuid(_ *simulator.Context, req *types.FindAllByUuid) soap.HasFault {
	found := o.lab.byUUID(req.Uuid, req.VmSearch, req.InstanceUuid != nil && *req.InstanceUuid)
	return &methods.FindAllByUuidBody{Res: &types.FindAllByUuidResponse{Returnval: found}}
}

// QueryConfigTarget implements EnvironmentBrowser.QueryConfigTarget, with the vGPU types that the hosts offer.
func (o *methodsObject) QueryConfigTarget(ctx *simulator.Context, req *types.QueryConfigTarget) soap.HasFault {
	l := o.lab
	browser, ok := l.reg.Get(req.This).(*simulator.EnvironmentBrowser)
	if !ok {
		return &methods.QueryConfigTargetBody{Fault_: wrapped(&types.ManagedObjectNotFound{Obj: req.This}).soapFault()}
	}
	body := browser.QueryConfigTarget(ctx, req).(*methods.QueryConfigTargetBody)
	if body.Res == nil || body.Res.Returnval == nil {
		return body
	}
	target := body.Res.Returnval
	target.PciPassthrough, target.DynamicPassthrough = nil, nil
	l.tellCards(target, l.spokenFor(req.This, req.Host))
	for _, p := range l.offered(req.This, req.Host) {
		target.SharedGpuPassthroughTypes = append(target.SharedGpuPassthroughTypes, types.VirtualMachinePciSharedGpuPassthroughInfo{
			VirtualMachineTargetInfo: types.VirtualMachineTargetInfo{Name: p.Name}, Vgpu: p.Name,
		})
		target.VgpuProfileInfo = append(target.VgpuProfileInfo, profileInfo(p))
	}
	return body
}

// spokenFor lists the one host asked about, or all hosts of the cluster that an environment browser speaks for.
func (l *Lab) spokenFor(browser types.ManagedObjectReference, host *types.ManagedObjectReference) []types.ManagedObjectReference {
	if host != nil {
		return []types.ManagedObjectReference{*host}
	}
	for _, e := range l.reg.All("ClusterComputeResource") {
		c, ok := e.(*simulator.ClusterComputeResource)
		if ok && c.EnvironmentBrowser != nil && *c.EnvironmentBrowser == browser {
			return c.Host
		}
	}
	return nil
}

// offered lists the vGPU types of one host, or of all hosts that an environment browser speaks for, each once.
func (l *Lab) offered(browser types.ManagedObjectReference, host *types.ManagedObjectReference) []gpu.Profile {
	hosts := l.spokenFor(browser, host)
	l.gpuMu.Lock()
	defer l.gpuMu.Unlock()
	var found []gpu.Profile
	seen := map[string]bool{}
	for _, ref := range hosts {
		h := l.gpuHosts[ref]
		if h == nil {
			continue
		}
		for _, g := range h.host.GPUs {
			for _, name := range g.Profiles {
				if p, err := gpu.Parse(name); err == nil && !seen[name] {
					seen[name] = true
					found = append(found, p)
				}
			}
		}
	}
	return found
}

// QueryConfigOptionEx implements EnvironmentBrowser.QueryConfigOptionEx, with how many vGPUs of a type one VM may hold.
func (o *methodsObject) QueryConfigOptionEx(_ *simulator.Context, req *types.QueryConfigOptionEx) soap.HasFault {
	l := o.lab
	browser, ok := l.reg.Get(req.This).(*simulator.EnvironmentBrowser)
	if !ok {
		return &methods.QueryConfigOptionExBody{Fault_: wrapped(&types.ManagedObjectNotFound{Obj: req.This}).soapFault()}
	}
	body := browser.QueryConfigOptionEx(req).(*methods.QueryConfigOptionExBody)
	if body.Res == nil || body.Res.Returnval == nil {
		return body
	}
	var host *types.ManagedObjectReference
	if req.Spec != nil {
		host = req.Spec.Host
	}
	device := &types.VirtualPCIPassthroughOption{VirtualDeviceOption: types.VirtualDeviceOption{Type: "VirtualPCIPassthrough"}}
	for _, p := range l.offered(req.This, host) {
		backing := &types.VirtualPCIPassthroughVmiopBackingOption{
			Vgpu: types.StringOption{DefaultValue: p.Name}, MaxInstances: l.cfg.Site.VCenter.MaxVGPUs(),
		}
		backing.Type = "VirtualPCIPassthroughVmiopBackingInfo"
		device.BackingOption = append(device.BackingOption, backing)
	}
	option := *body.Res.Returnval
	option.GuestOSDescriptor = []types.GuestOsDescriptor{} // the library's lack required fields, as do its shares
	shares := types.SharesOption{DefaultLevel: types.SharesLevelNormal}
	option.HardwareOptions.ResourceConfigOption = types.ResourceConfigOption{
		CpuAllocationOption: types.ResourceAllocationOption{SharesOption: shares}, MemoryAllocationOption: types.ResourceAllocationOption{SharesOption: shares},
	}
	option.HardwareOptions.VirtualDeviceOption = append(
		append([]types.BaseVirtualDeviceOption(nil), option.HardwareOptions.VirtualDeviceOption...), device)
	body.Res.Returnval = &option
	return body
}

func profileInfo(p gpu.Profile) types.VirtualMachineVgpuProfileInfo {
	sharing := "timeSliced"
	if p.MIGBacked {
		sharing = "mig"
	}
	return types.VirtualMachineVgpuProfileInfo{
		VirtualMachineTargetInfo: types.VirtualMachineTargetInfo{Name: p.Name},
		ProfileName:              p.Name, DeviceVendorId: 0x10de, FbSizeInGib: int64(p.GB), ProfileSharing: sharing, ProfileClass: "compute",
	}
}
