package lab

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// creation is a VM on its way into a folder. Its lock is taken the moment that the VM enters the inventory and
// given back when the VM is whole, so that no reader ever meets a VM without the keys it was born with.
type creation struct {
	ctx    *simulator.Context
	unlock func()
}

// folderLock serialises creations in one folder, which makes the check for a duplicate name certain.
func (l *Lab) folderLock(ref types.ManagedObjectReference) *sync.Mutex {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.folders[ref] == nil {
		l.folders[ref] = &sync.Mutex{}
	}
	return l.folders[ref]
}

// place is where a new VM goes.
type place struct {
	folder, pool types.ManagedObjectReference
	host         types.ManagedObjectReference
}

// create makes a VM; finish runs while nobody can see it yet.
func (l *Lab) create(ctx *simulator.Context, spec *types.VirtualMachineConfigSpec, at place, finish func(*simulator.VirtualMachine)) (types.ManagedObjectReference, *failure) {
	none := types.ManagedObjectReference{}
	folder, ok := l.reg.Get(at.folder).(*simulator.Folder)
	if !ok {
		return none, wrapped(&types.ManagedObjectNotFound{Obj: at.folder})
	}
	if failed := l.checkSpec(spec, at); failed != nil {
		return none, failed
	}
	spec.ExtraConfig = withoutEmpty(spec.ExtraConfig)
	defaults := types.DefaultResourceConfigSpec()
	spec.CpuAllocation = mergeAllocation(defaults.CpuAllocation, spec.CpuAllocation)
	spec.MemoryAllocation = mergeAllocation(defaults.MemoryAllocation, spec.MemoryAllocation)
	l.assignKeys(spec.DeviceChange, nil)
	numberGroups(spec)
	lock := l.folderLock(at.folder)
	lock.Lock()
	defer lock.Unlock()
	if e := l.reg.FindByName(spec.Name, folder.ChildEntity); e != nil {
		return none, wrapped(&types.DuplicateName{Name: spec.Name, Object: e.Reference()})
	}
	c := &creation{ctx: ctx}
	l.mu.Lock()
	l.pending[at.folder] = c
	l.mu.Unlock()
	body := folder.CreateVMTask(ctx, &types.CreateVM_Task{This: at.folder, Config: *spec, Pool: at.pool, Host: &at.host})
	result, failed := l.inner(ctx, body.(*methods.CreateVM_TaskBody).Res.Returnval)
	l.mu.Lock()
	delete(l.pending, at.folder)
	l.mu.Unlock()
	if c.unlock != nil {
		defer c.unlock()
	}
	if failed != nil {
		return none, failed
	}
	ref, _ := result.(types.ManagedObjectReference)
	vm := l.vm(ref)
	applyRest(vm.Config, spec)
	vm.Config.ChangeVersion = fmt.Sprint(l.nextVersion())
	vm.Guest.Net = nil // tools report it once they run
	fillVM(vm)
	if finish != nil {
		finish(vm)
	}
	return ref, nil
}

// checkSpec refuses what would make the library panic, with the fault that a vCenter has for it.
func (l *Lab) checkSpec(spec *types.VirtualMachineConfigSpec, at place) *failure {
	host, ok := l.reg.Get(at.host).(*simulator.HostSystem)
	if !ok {
		return wrapped(&types.ManagedObjectNotFound{Obj: at.host})
	}
	if l.reg.Get(at.pool) == nil {
		return wrapped(&types.ManagedObjectNotFound{Obj: at.pool})
	}
	if spec.Name == "" || len(spec.Name) > 80 {
		return wrapped(&types.InvalidArgument{InvalidProperty: "configSpec.name"})
	}
	var path object.DatastorePath
	if spec.Files == nil || !path.FromString(spec.Files.VmPathName) {
		return wrapped(&types.InvalidArgument{InvalidProperty: "configSpec.files.vmPathName"})
	}
	if l.reg.FindByName(path.Datastore, host.Datastore) == nil {
		return failf(&types.InvalidDatastore{Name: path.Datastore}, "Datastore '%s' is not accessible from host '%s'.", path.Datastore, host.Name)
	}
	return l.checkDevices(spec.DeviceChange, host)
}

// checkDevices looks at the backings of new or changed network cards.
func (l *Lab) checkDevices(changes []types.BaseVirtualDeviceConfigSpec, host *simulator.HostSystem) *failure {
	for i, change := range changes {
		s := change.GetVirtualDeviceConfigSpec()
		if s.Device == nil {
			return wrapped(&types.InvalidArgument{InvalidProperty: "deviceChange.device"})
		}
		card, ok := s.Device.(types.BaseVirtualEthernetCard)
		if !ok || s.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			continue
		}
		var net mo.Reference
		switch b := card.GetVirtualEthernetCard().Backing.(type) {
		case *types.VirtualEthernetCardNetworkBackingInfo:
			if b.DeviceName == "" && b.Network != nil {
				b.DeviceName = l.Name(*b.Network)
			}
			if e := l.reg.FindByName(b.DeviceName, host.Network); e != nil {
				net = e
			}
		case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
			for _, ref := range host.Network {
				if ref.Value == b.Port.PortgroupKey {
					net = ref
				}
			}
		}
		if net == nil {
			fault := &types.InvalidDeviceBacking{}
			fault.DeviceIndex, fault.Property = int32(i), "deviceChange.device.backing"
			return failf(fault, "Invalid backing for network card %d: host '%s' has no such network.", i, host.Name)
		}
	}
	return nil
}

// withoutEmpty drops keys with an empty value, and those that make the library itself start containers or set properties.
func withoutEmpty(options []types.BaseOptionValue) []types.BaseOptionValue {
	var kept []types.BaseOptionValue
	for _, o := range options {
		v := o.GetOptionValue()
		if s, ok := v.Value.(string); (ok && s == "") || reservedKey(v.Key) {
			continue
		}
		kept = append(kept, o)
	}
	return kept
}

func reservedKey(key string) bool {
	return strings.HasPrefix(key, "RUN.") || strings.HasPrefix(key, "SET.") || key == "ip0"
}

// applyRest copies the fields of a specification that the library ignores and that have the same name and type in the
// configuration.
func applyRest(config *types.VirtualMachineConfigInfo, spec *types.VirtualMachineConfigSpec) {
	from, to := reflect.ValueOf(spec).Elem(), reflect.ValueOf(config).Elem()
	for i := range from.NumField() {
		name := from.Type().Field(i).Name
		switch name {
		case "ExtraConfig", "ChangeVersion", "Files", "VAppConfig", "Name", "CpuAllocation", "MemoryAllocation":
			continue
		}
		target := to.FieldByName(name)
		if v := from.Field(i); target.IsValid() && target.Type() == v.Type() && !v.IsZero() {
			target.Set(v)
		}
	}
	if p := spec.PowerOpInfo; p != nil {
		config.DefaultPowerOps = *p
	}
	if locked := config.MemoryReservationLockedToMax; locked != nil && *locked && config.MemoryAllocation != nil {
		allocation := *config.MemoryAllocation
		allocation.Reservation = types.NewInt64(int64(config.Hardware.MemoryMB))
		config.MemoryAllocation = &allocation
	}
}

// mergeAllocation puts what a specification says of an allocation over what it leaves out; the library takes it whole.
func mergeAllocation(base types.ResourceAllocationInfo, own *types.ResourceAllocationInfo) *types.ResourceAllocationInfo {
	if own == nil {
		return nil
	}
	from, to := reflect.ValueOf(own).Elem(), reflect.ValueOf(&base).Elem()
	for i := range from.NumField() {
		if v := from.Field(i); !v.IsZero() {
			to.Field(i).Set(v)
		}
	}
	return &base
}

// CreateVMTask implements Folder.CreateVM_Task.
func (o *methodsObject) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	l := o.lab
	ref := l.task(ctx, req.This, "CreateVM_Task", "createVm", func(ctx *simulator.Context) (types.AnyType, *failure) {
		at := place{folder: req.This, pool: req.Pool}
		if req.Host != nil {
			at.host = *req.Host
		} else {
			host, failed := l.anyHost(req.Pool, req.Config.Files, nil)
			if failed != nil {
				return nil, failed
			}
			at.host = host
		}
		ref, failed := l.create(ctx, &req.Config, at, nil)
		if failed != nil {
			return nil, failed
		}
		l.machineOf(ref).pinned = req.Host != nil
		return ref, nil
	})
	return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: ref}}
}

// anyHost chooses the connected host of a pool's cluster that has the fewest VMs, sees the datastore and offers the vGPU types.
func (l *Lab) anyHost(pool types.ManagedObjectReference, files *types.VirtualMachineFileInfo, profiles []string) (types.ManagedObjectReference, *failure) {
	var path object.DatastorePath
	if files != nil {
		path.FromString(files.VmPathName)
	}
	best, fewest := types.ManagedObjectReference{}, -1
	for _, ref := range l.clusterHosts(pool) {
		h, ok := l.reg.Get(ref).(*simulator.HostSystem)
		if !ok || h.Runtime.InMaintenanceMode || h.Runtime.ConnectionState != types.HostSystemConnectionStateConnected {
			continue
		}
		if l.reg.FindByName(path.Datastore, h.Datastore) == nil || !l.offers(ref, profiles) {
			continue
		}
		if n := len(h.Vm); fewest < 0 || n < fewest {
			best, fewest = ref, n
		}
	}
	if fewest < 0 {
		return best, failf(&types.NoCompatibleHost{}, "No host is compatible with the virtual machine: none is connected, sees datastore '%s' and offers %v.", path.Datastore, profiles)
	}
	return best, nil
}

// clusterHosts lists the hosts of the cluster that a resource pool belongs to.
func (l *Lab) clusterHosts(pool types.ManagedObjectReference) []types.ManagedObjectReference {
	p, ok := l.reg.Get(pool).(*simulator.ResourcePool)
	if !ok {
		return nil
	}
	cluster, ok := l.reg.Get(p.Owner).(*simulator.ClusterComputeResource)
	if !ok {
		return nil
	}
	return cluster.Host
}
