package lab

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// deepCopyDevices copies by way of XML, as everything that reaches a vCenter is.
func deepCopyDevices(devices []types.BaseVirtualDevice) []types.BaseVirtualDevice {
	var copied types.ArrayOfVirtualDevice
	deepCopy(types.ArrayOfVirtualDevice{VirtualDevice: devices}, &copied)
	return copied.VirtualDevice
}

func deepCopy(from, to any) {
	data, err := xml.Marshal(from)
	if err != nil {
		panic(err)
	}
	dec := xml.NewDecoder(bytes.NewReader(data))
	dec.TypeFunc = types.TypeFunc()
	if err := dec.Decode(to); err != nil {
		panic(err)
	}
}

// CloneVMTask implements VirtualMachine.CloneVM_Task.
func (o *methodsObject) CloneVMTask(ctx *simulator.Context, req *types.CloneVM_Task) soap.HasFault {
	l := o.lab
	ref := l.task(ctx, req.This, "CloneVM_Task", "clone", func(ctx *simulator.Context) (types.AnyType, *failure) {
		return l.clone(ctx, req)
	})
	return &methods.CloneVM_TaskBody{Res: &types.CloneVM_TaskResponse{Returnval: ref}}
}

// origin is what a clone takes over from its source.
type origin struct {
	spec     types.VirtualMachineConfigSpec
	template bool
	pool     *types.ManagedObjectReference
	vmx      object.DatastorePath
}

func (l *Lab) clone(ctx *simulator.Context, req *types.CloneVM_Task) (types.AnyType, *failure) {
	from, failed := l.originOf(ctx, req)
	if failed != nil {
		return nil, failed
	}
	spec := &from.spec
	if failed := checkCustomization(req.Spec.Customization, spec.DeviceChange); failed != nil {
		return nil, failed
	}
	if failed := ask(spec, req); failed != nil {
		return nil, failed
	}
	if ds := req.Spec.Location.Datastore; ds != nil {
		from.vmx.Datastore = l.Name(*ds)
	}
	from.vmx.Path = req.Name
	spec.Files = &types.VirtualMachineFileInfo{VmPathName: from.vmx.String()}
	at, pinned, failed := l.clonePlace(req, from.template, from.pool, spec)
	if failed != nil {
		return nil, failed
	}
	image := l.machineOf(req.This).image
	ref, failed := l.create(ctx, spec, at, func(vm *simulator.VirtualMachine) { l.born(vm, req, image, pinned) })
	if failed != nil {
		return nil, failed
	}
	if req.Spec.PowerOn && !req.Spec.Template {
		if failed := l.powerOn(ctx, ref, nil); failed != nil {
			return nil, failed
		}
	}
	return ref, nil
}

// originOf reads the source, which is only locked meanwhile: its clones run side by side.
func (l *Lab) originOf(ctx *simulator.Context, req *types.CloneVM_Task) (from origin, failed *failure) {
	source := l.vm(req.This)
	if source == nil {
		return from, wrapped(&types.ManagedObjectNotFound{Obj: req.This})
	}
	l.reg.WithLock(ctx, source, func() {
		from.template, from.pool = source.Config.Template, source.ResourcePool
		from.vmx.FromString(source.Config.Files.VmPathName)
		linked := req.Spec.Location.DiskMoveType == string(types.VirtualMachineRelocateDiskMoveOptionsCreateNewChildDiskBacking)
		if linked && (req.Spec.Snapshot == nil || source.Snapshot == nil) {
			failed = wrapped(&types.InvalidArgument{InvalidProperty: "spec.snapshot"})
			return
		}
		from.spec = specOf(source.Config)
		from.spec.DeviceChange = copyDevices(source.Config.Hardware.Device, linked)
	})
	return from, failed
}

// ask lays over a source's hardware what the clone asks for.
func ask(spec *types.VirtualMachineConfigSpec, req *types.CloneVM_Task) (failed *failure) {
	own := types.VirtualMachineConfigSpec{}
	if req.Spec.Config != nil {
		own = *req.Spec.Config
	}
	overlay(spec, &own)
	spec.Name = req.Name
	spec.ExtraConfig = mergeOptions(spec.ExtraConfig, own.ExtraConfig)
	for _, changes := range [][]types.BaseVirtualDeviceConfigSpec{req.Spec.Location.DeviceChange, own.DeviceChange} {
		if spec.DeviceChange, failed = mergeDevices(spec.DeviceChange, changes); failed != nil {
			return failed
		}
	}
	return nil
}

// born gives a new clone its guest's image and address, or makes a template of it.
func (l *Lab) born(vm *simulator.VirtualMachine, req *types.CloneVM_Task, image string, pinned bool) {
	m := l.machineOf(vm.Self)
	m.image, m.pinned, m.customization = image, pinned, req.Spec.Customization
	if m.image != "" && !req.Spec.Template {
		m.address = l.addrs.take()
		vm.Guest.ToolsStatus = types.VirtualMachineToolsStatusToolsNotRunning
		vm.Guest.ToolsVersionStatus2 = string(types.VirtualMachineToolsVersionStatusGuestToolsUnmanaged)
		vm.Summary.Guest.ToolsStatus = vm.Guest.ToolsStatus
	}
	if req.Spec.Template {
		vm.MarkAsTemplate(&types.MarkAsTemplate{This: vm.Self})
	}
}

// clonePlace decides folder, pool and host of a clone.
func (l *Lab) clonePlace(req *types.CloneVM_Task, template bool, pool *types.ManagedObjectReference, spec *types.VirtualMachineConfigSpec) (place, bool, *failure) {
	at := place{folder: req.Folder}
	loc := req.Spec.Location
	if loc.Folder != nil {
		at.folder = *loc.Folder
	}
	switch {
	case loc.Pool != nil:
		pool = loc.Pool
	case template:
		pool = nil // a template has no pool to inherit
	}
	if pool == nil {
		return at, false, wrapped(&types.InvalidArgument{InvalidProperty: "spec.location.pool"})
	}
	at.pool = *pool
	if loc.Host != nil {
		for _, h := range l.clusterHosts(at.pool) {
			if h == *loc.Host {
				at.host = h
				return at, true, nil
			}
		}
		return at, false, wrapped(&types.InvalidArgument{InvalidProperty: "spec.location.host"})
	}
	var devices []types.BaseVirtualDevice
	for _, change := range spec.DeviceChange {
		devices = append(devices, change.GetVirtualDeviceConfigSpec().Device)
	}
	host, failed := l.anyHost(at.pool, spec.Files, profilesOf(devices))
	at.host = host
	return at, false, failed
}

// specOf describes a VM's configuration as a specification: what a clone inherits.
func specOf(c *types.VirtualMachineConfigInfo) types.VirtualMachineConfigSpec {
	spec := types.VirtualMachineConfigSpec{
		Version: c.Version, GuestId: c.GuestId, Annotation: c.Annotation, Firmware: c.Firmware,
		NumCPUs: c.Hardware.NumCPU, NumCoresPerSocket: c.Hardware.NumCoresPerSocket, MemoryMB: int64(c.Hardware.MemoryMB),
	}
	from, to := reflect.ValueOf(c).Elem(), reflect.ValueOf(&spec).Elem()
	for i := range from.NumField() {
		name := from.Type().Field(i).Name
		switch name {
		case "Uuid", "InstanceUuid", "ChangeVersion", "Files", "Name", "ExtraConfig", "VAppConfig", "CpuAllocation", "MemoryAllocation",
			"CreateDate", "ManagedBy", "LocationId":
			continue
		}
		target := to.FieldByName(name)
		if v := from.Field(i); target.IsValid() && target.Type() == v.Type() && !v.IsZero() && target.IsZero() {
			target.Set(v)
		}
	}
	for _, o := range c.ExtraConfig {
		v := *o.GetOptionValue()
		spec.ExtraConfig = append(spec.ExtraConfig, &v)
	}
	return spec
}

// overlay puts every field that is set in own over spec; devices, extraConfig and files have rules of their own.
func overlay(spec, own *types.VirtualMachineConfigSpec) {
	from, to := reflect.ValueOf(own).Elem(), reflect.ValueOf(spec).Elem()
	for i := range from.NumField() {
		switch from.Type().Field(i).Name {
		case "DeviceChange", "ExtraConfig", "Files", "ChangeVersion", "DynamicData":
			continue
		}
		if v := from.Field(i); !v.IsZero() {
			to.Field(i).Set(v)
		}
	}
}

// QueryCustomization is the guest customization that a clone was given, for tests; nil for none.
func (l *Lab) QueryCustomization(name string) (*types.CustomizationSpec, error) {
	ref, err := l.find("VirtualMachine", name)
	if err != nil {
		return nil, fmt.Errorf("customization: %w", err)
	}
	return l.machineOf(ref).customization, nil
}
