package lab

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/gpu"
)

// directPath is vSphere 9's manager of DirectPath profiles: it says how many more vGPUs of a type a host takes, from the
// judge's books and so with the slices that nothing else of a vCenter shows. Profiles cannot be made, only asked about.
type directPath struct {
	mo.DirectPathProfileManager
	lab *Lab
}

// addDirectPath puts the manager into the service's content from version 9 on.
func (l *Lab) addDirectPath() {
	if l.cfg.Site.VCenter.Version < "9" {
		return
	}
	manager := &directPath{lab: l}
	manager.Self = types.ManagedObjectReference{Type: "DirectPathProfileManager", Value: "DirectPathProfileManager"}
	ref := l.reg.Put(manager).Reference()
	l.model.ServiceContent.DirectPathProfileManager = &ref
	if instance, ok := l.reg.Get(types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}).(*simulator.ServiceInstance); ok {
		instance.Content.DirectPathProfileManager = &ref
	}
}

// DirectPathProfileManagerQueryCapacity answers for a host or a cluster; what it cannot answer is unknown with a fault, as the
// API has it, and does not fail the rest.
func (d *directPath) DirectPathProfileManagerQueryCapacity(ctx *simulator.Context, req *types.DirectPathProfileManagerQueryCapacity) soap.HasFault {
	var hosts []types.ManagedObjectReference
	switch target := req.Target.(type) {
	case *types.DirectPathProfileManagerTargetHost:
		hosts = []types.ManagedObjectReference{target.Host}
	case *types.DirectPathProfileManagerTargetCluster:
		if c, ok := d.lab.reg.Get(target.Cluster).(*simulator.ClusterComputeResource); ok {
			hosts = c.Host
		}
	}
	res := &types.DirectPathProfileManagerQueryCapacityResponse{}
	for _, spec := range req.QuerySpec {
		res.Returnval = append(res.Returnval, d.answer(hosts, spec))
	}
	return &methods.DirectPathProfileManagerQueryCapacityBody{Res: res}
}

func (d *directPath) answer(hosts []types.ManagedObjectReference, spec types.BaseDirectPathProfileManagerCapacityQuerySpec) types.BaseDirectPathProfileManagerCapacityResult {
	fault := types.LocalizedMethodFault{Fault: &types.InvalidArgument{InvalidProperty: "querySpec"}, LocalizedMessage: "No such profile."}
	unknown := &types.DirectPathProfileManagerCapacityUnknown{QuerySpec: spec, FaultList: []types.LocalizedMethodFault{fault}}
	by, ok := spec.(*types.DirectPathProfileManagerCapacityQueryByDeviceConfig)
	if !ok {
		return unknown
	}
	config, ok := by.DeviceConfig.(*types.DirectPathProfileManagerVmiopDirectPathConfig)
	if !ok {
		return unknown
	}
	profile, err := gpu.Parse(config.VgpuProfile)
	if err != nil {
		return unknown
	}
	info := &types.DirectPathProfileManagerCapacityInfo{Profile: types.DirectPathProfileInfo{
		Id: config.VgpuProfile, Name: config.VgpuProfile, VendorName: "NVIDIA", DeviceConfig: config,
	}}
	d.lab.gpuMu.Lock()
	defer d.lab.gpuMu.Unlock()
	for _, ref := range hosts {
		if h := d.lab.gpuHosts[ref]; h != nil {
			consumed, remaining, most := h.host.Capacity(profile)
			info.Consumed, info.Remaining, info.Max = info.Consumed+consumed, info.Remaining+remaining, info.Max+most
		}
	}
	return info
}
