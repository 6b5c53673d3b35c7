package lab

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/gpu"
	"triton-fleet/lab/vcenter/internal/site"
)

const cpuMHz = 2600

// equip gives a host its size and its GPUs.
func (l *Lab) equip(h *simulator.HostSystem, spec site.Host) {
	memory := spec.MemoryGB << 30
	hardware := *h.Hardware
	hardware.CpuInfo = types.HostCpuInfo{NumCpuPackages: 2, NumCpuCores: int16(spec.CPU), NumCpuThreads: int16(2 * spec.CPU), Hz: cpuMHz * 1_000_000}
	hardware.MemorySize = memory
	h.Hardware = &hardware
	summary := h.Summary.Hardware
	summary.NumCpuPkgs, summary.NumCpuCores, summary.NumCpuThreads = 2, int16(spec.CPU), int16(2*spec.CPU)
	summary.CpuMhz, summary.MemorySize = cpuMHz, memory
	if h.Capability != nil {
		h.Capability.VmDirectPathGen2Supported = types.NewBool(false)
	}
	if h.Runtime.StandbyMode == "" {
		h.Runtime.StandbyMode = string(types.HostStandbyModeNone)
	}
	l.passThrough(h, spec)
	if len(spec.GPUs) == 0 {
		return
	}
	books := &gpu.Host{Policy: gpu.Policy(spec.GPUPolicy), Consolidate: spec.GPUAssignment == "consolidation"}
	seen := map[string]bool{}
	graphics := &types.HostGraphicsConfig{HostDefaultGraphicsType: "sharedDirect", SharedPassthruAssignmentPolicy: spec.GPUAssignment}
	for _, g := range spec.GPUs {
		books.GPUs = append(books.GPUs, &gpu.GPU{Model: g.Model, PCI: g.PCI, GB: g.MemoryGB, Mode: gpu.Mode(g.Mode), Profiles: g.Profiles})
		graphics.DeviceType = append(graphics.DeviceType, types.HostGraphicsConfigDeviceType{
			DeviceId: g.PCI, GraphicsType: "sharedDirect", VgpuMode: g.Mode,
		})
		for _, name := range g.Profiles {
			if seen[name] {
				continue
			}
			seen[name] = true
			h.Config.SharedPassthruGpuTypes = append(h.Config.SharedPassthruGpuTypes, name)
			h.Config.SharedGpuCapabilities = append(h.Config.SharedGpuCapabilities, types.HostSharedGpuCapabilities{
				Vgpu: name, DiskSnapshotSupported: true, MigrateSupported: true, SuspendSupported: true,
			})
		}
	}
	h.Config.GraphicsConfig = graphics
	l.gpuMu.Lock()
	l.gpuHosts[h.Self] = &gpuHost{name: h.Name, host: books}
	l.gpuMu.Unlock()
	h.Config.GraphicsInfo = l.graphicsInfo(h.Self)
}

// sumUp makes a cluster's totals those of its hosts.
func (l *Lab) sumUp(c *simulator.ClusterComputeResource) {
	s := c.Summary.GetComputeResourceSummary()
	*s = types.ComputeResourceSummary{OverallStatus: types.ManagedEntityStatusGreen}
	for _, ref := range c.Host {
		h := l.reg.Get(ref).(*simulator.HostSystem).Summary.Hardware
		s.TotalCpu += int32(h.NumCpuCores) * h.CpuMhz
		s.TotalMemory += h.MemorySize
		s.NumCpuCores += h.NumCpuCores
		s.NumCpuThreads += h.NumCpuThreads
		s.NumHosts++
	}
	s.EffectiveCpu, s.EffectiveMemory, s.NumEffectiveHosts = s.TotalCpu, s.TotalMemory>>20, s.NumHosts
}

// networks makes port groups and connects every host to all of them.
func (b *builder) networks() error {
	for _, spec := range b.spec.Networks {
		make := b.standardNetwork
		if spec.Type == "distributed" {
			make = b.distributedNetwork
		}
		if err := make(spec.Name); err != nil {
			return fmt.Errorf("network %s: %w", spec.Name, err)
		}
	}
	return nil
}

func (b *builder) standardNetwork(name string) error {
	hosts := b.eachHost()
	if len(hosts) == 0 {
		return nil
	}
	system := b.lab.reg.Get(*hosts[0].host.ConfigManager.NetworkSystem).(*simulator.HostNetworkSystem)
	body := system.AddPortGroup(b.ctx, &types.AddPortGroup{Portgrp: types.HostPortGroupSpec{Name: name, VswitchName: "vSwitch0"}})
	if err := faultOf("port group", body); err != nil {
		return err
	}
	net := b.lab.reg.FindByName(name, b.dc.Network)
	for _, h := range hosts {
		h.host.Network = append(append([]types.ManagedObjectReference(nil), h.host.Network...), net.Reference())
	}
	for _, c := range b.clusters {
		c.Network = append(append([]types.ManagedObjectReference(nil), c.Network...), net.Reference())
	}
	return nil
}

func (b *builder) distributedNetwork(name string) error {
	folder := b.lab.reg.Get(b.dc.NetworkFolder).(*simulator.Folder)
	spec := &types.VMwareDVSConfigSpec{}
	spec.Name = name + "-switch"
	body := folder.CreateDVSTask(b.ctx, &types.CreateDVS_Task{This: folder.Self, Spec: types.DVSCreateSpec{ConfigSpec: spec}})
	ref, err := b.wait("switch", body.(*methods.CreateDVS_TaskBody).Res.Returnval)
	if err != nil {
		return err
	}
	dvs := b.lab.reg.Get(ref.(types.ManagedObjectReference)).(*simulator.DistributedVirtualSwitch)
	group := dvs.AddDVPortgroupTask(b.ctx, &types.AddDVPortgroup_Task{This: dvs.Self, Spec: []types.DVPortgroupConfigSpec{{
		Name: name, Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding), NumPorts: 1024,
	}}})
	if _, err := b.wait("port group", group.(*methods.AddDVPortgroup_TaskBody).Res.Returnval); err != nil {
		return err
	}
	change := &types.DVSConfigSpec{}
	for _, h := range b.eachHost() {
		change.Host = append(change.Host, types.DistributedVirtualSwitchHostMemberConfigSpec{
			Operation: string(types.ConfigSpecOperationAdd), Host: h.host.Self,
		})
	}
	task := dvs.ReconfigureDvsTask(b.ctx, &types.ReconfigureDvs_Task{This: dvs.Self, Spec: change})
	_, err = b.wait("hosts", task.(*methods.ReconfigureDvs_TaskBody).Res.Returnval)
	return err
}
