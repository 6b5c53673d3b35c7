package lab

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/site"
)

type noRules struct{}

func (noRules) TaskDelay(string, string) {}

// start makes a lab of a model file's text and a client in this process.
func start(t *testing.T, model []byte) (*Lab, *vim25.Client) {
	t.Helper()
	s, err := site.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(Config{Site: s, Password: "x", StateDir: t.TempDir(), Subnet: "198.18.7.0/24"}, noRules{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	c, err := vim25.NewClient(context.Background(), l.Service())
	if err != nil {
		t.Fatal(err)
	}
	return l, c
}

func small(t *testing.T) (*Lab, *vim25.Client) {
	t.Helper()
	data, err := os.ReadFile("../../../sites/small.yml")
	if err != nil {
		t.Fatal(err)
	}
	return start(t, data)
}

func ref(t *testing.T, l *Lab, kind, name string) types.ManagedObjectReference {
	t.Helper()
	r, err := l.find(kind, name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func cloneSpec(t *testing.T, l *Lab, key, value string) types.VirtualMachineCloneSpec {
	t.Helper()
	cluster := l.reg.Get(ref(t, l, "ClusterComputeResource", "mig")).(*simulator.ClusterComputeResource)
	return types.VirtualMachineCloneSpec{
		Location: types.VirtualMachineRelocateSpec{Pool: cluster.ResourcePool},
		Config: &types.VirtualMachineConfigSpec{
			MemoryReservationLockedToMax: types.NewBool(true), Annotation: "mine",
			ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: key, Value: value}},
		},
	}
}

func option(vm *simulator.VirtualMachine, key string) any {
	for _, o := range vm.Config.ExtraConfig {
		if v := o.GetOptionValue(); v.Key == key {
			return v.Value
		}
	}
	return nil
}

func TestClonesSideBySide(t *testing.T) {
	l, c := small(t)
	ctx := context.Background()
	template := object.NewVirtualMachine(c, ref(t, l, "VirtualMachine", "triton-template"))
	folder := object.NewFolder(c, ref(t, l, "Folder", "a"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			task, err := template.Clone(ctx, folder, fmt.Sprint("c", i), cloneSpec(t, l, "fleet.name", fmt.Sprint("c", i)))
			if err == nil {
				err = task.Wait(ctx)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	macs := map[string]bool{}
	for i := range 8 {
		vm := l.vm(ref(t, l, "VirtualMachine", fmt.Sprint("c", i)))
		macs[cards(vm)[0].MacAddress] = true
		if option(vm, "fleet.name") != fmt.Sprint("c", i) || option(vm, "lab.note") != "from the template" {
			t.Errorf("%s: extraConfig %v", vm.Name, vm.Config.ExtraConfig)
		}
		if c := vm.Config; c.Annotation != "mine" || c.MemoryReservationLockedToMax == nil || *c.MemoryAllocation.Reservation != 16<<10 {
			t.Errorf("%s: not all of the specification was taken: %+v", vm.Name, c)
		}
	}
	if len(macs) != 8 {
		t.Errorf("addresses repeat: %v", macs)
	}
}

func TestNobodyMeetsAHalfMadeVM(t *testing.T) {
	l, c := small(t)
	ctx := context.Background()
	stop, reader := make(chan bool), sync.WaitGroup{}
	reader.Go(func() { // reads as a property collector does: under the VM's lock
		own := l.newContext()
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, e := range l.reg.All("VirtualMachine") {
				vm := e.(*simulator.VirtualMachine)
				own.WithLock(vm, func() {
					if vm.Config != nil && vm.Name == "born" && option(vm, "fleet.name") == nil {
						t.Error("a reader met a VM before its keys")
					}
				})
			}
		}
	})
	template := object.NewVirtualMachine(c, ref(t, l, "VirtualMachine", "triton-template"))
	for range 20 {
		task, err := template.Clone(ctx, object.NewFolder(c, ref(t, l, "Folder", "a")), "born", cloneSpec(t, l, "fleet.name", "demo"))
		if err != nil {
			t.Fatal(err)
		}
		info, err := task.WaitForResult(ctx)
		if err != nil {
			t.Fatal(err)
		}
		gone, err := object.NewVirtualMachine(c, info.Result.(types.ManagedObjectReference)).Destroy(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := gone.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	reader.Wait()
}

func TestChangeVersion(t *testing.T) {
	l, c := small(t)
	ctx := context.Background()
	web := ref(t, l, "VirtualMachine", "web-1")
	for range 5 {
		version := l.vm(web).Config.ChangeVersion
		var mu sync.Mutex
		var wg sync.WaitGroup
		won, lost := 0, 0
		for i := range 6 {
			wg.Go(func() {
				spec := types.VirtualMachineConfigSpec{
					ChangeVersion: version, ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "record", Value: fmt.Sprint(i)}},
				}
				task, err := object.NewVirtualMachine(c, web).Reconfigure(ctx, spec)
				if err != nil {
					t.Error(err)
					return
				}
				err = task.Wait(ctx)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else {
					lost++
				}
			})
		}
		wg.Wait()
		if won != 1 || lost != 5 {
			t.Fatalf("%d writers won, %d lost", won, lost)
		}
	}
}

func TestThousands(t *testing.T) {
	begin := time.Now()
	l, _ := start(t, []byte("datacenters: [{name: dc, clusters: [{name: c, hosts: [{name: 'h%d', count: 8}]}]}]\ngenerate: {vms: 10000}\n"))
	if n := len(l.reg.All("VirtualMachine")); n != 10000 {
		t.Errorf("%d VMs", n)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAVMThatMovedIsInNobodysListOnceItIsGone(t *testing.T) {
	l, c := small(t)
	ctx := context.Background()
	folder := object.NewFolder(c, ref(t, l, "Folder", "a"))
	task, err := object.NewVirtualMachine(c, ref(t, l, "VirtualMachine", "triton-template")).
		Clone(ctx, folder, "mover", cloneSpec(t, l, "fleet.name", "mover"))
	if err == nil {
		err = task.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	vm := object.NewVirtualMachine(c, ref(t, l, "VirtualMachine", "mover"))
	for _, e := range l.reg.All("HostSystem") { // to every host in turn, each with its own pool
		host := e.(*simulator.HostSystem)
		pool := l.reg.Get(*host.Parent).(*simulator.ClusterComputeResource).ResourcePool
		task, err := vm.Relocate(ctx, types.VirtualMachineRelocateSpec{Host: &host.Self, Pool: pool}, types.VirtualMachineMovePriorityDefaultPriority)
		if err == nil {
			err = task.Wait(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		if at := *l.vm(vm.Reference()).Runtime.Host; at != host.Self {
			t.Errorf("it is on %s, not on %s", at, host.Self)
		}
	}
	task, err = vm.Destroy(ctx)
	if err == nil {
		err = task.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range l.reg.All("HostSystem") {
		if h := e.(*simulator.HostSystem); slices.Contains(h.Vm, vm.Reference()) {
			t.Errorf("host %s still lists it", h.Name)
		}
	}
	for _, e := range l.reg.All("ResourcePool") {
		if p := e.(*simulator.ResourcePool); slices.Contains(p.Vm, vm.Reference()) {
			t.Errorf("pool %s still lists it", p.Self)
		}
	}
}
