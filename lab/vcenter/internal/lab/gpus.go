package lab

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"triton-fleet/lab/vcenter/internal/gpu"
)

// gpuHost is the GPU books of one host.
type gpuHost struct {
	name string
	host *gpu.Host
}

// offers tells whether a host offers all of the given vGPU types.
func (l *Lab) offers(ref types.ManagedObjectReference, profiles []string) bool {
	l.gpuMu.Lock()
	defer l.gpuMu.Unlock()
	for _, want := range profiles {
		h := l.gpuHosts[ref]
		if h == nil || !slices.ContainsFunc(h.host.GPUs, func(g *gpu.GPU) bool {
			return slices.ContainsFunc(g.Profiles, func(have string) bool { return strings.EqualFold(have, want) })
		}) {
			return false
		}
	}
	return true
}

// requests reads the vGPUs that a VM's devices ask for, and where extraConfig pins them.
func requests(vm *simulator.VirtualMachine) ([]gpu.Request, *failure) {
	var out []gpu.Request
	names, groups := vgpusOf(vm.Config.Hardware.Device)
	for i, name := range names {
		p, err := gpu.Parse(name)
		if err != nil {
			return nil, failf(&types.InvalidDeviceSpec{}, "Invalid vGPU type: %s.", err)
		}
		r := gpu.Request{Profile: p, Group: groups[i]}
		pin := fmt.Sprintf("pciPassthru%d.cfg.gpu-pci-id", i)
		for _, o := range vm.Config.ExtraConfig {
			if v := o.GetOptionValue(); v.Key == pin {
				r.PCI, _ = v.Value.(string)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// placeGPUs takes room for a VM's vGPUs on the first of the hosts that has it.
func (l *Lab) placeGPUs(vm *simulator.VirtualMachine, hosts []types.ManagedObjectReference) (types.ManagedObjectReference, *failure) {
	wanted, failed := requests(vm)
	cards := cardDevices(vm.Config.Hardware.Device)
	if failed != nil || len(wanted)+len(cards) == 0 {
		return hosts[0], failed
	}
	l.gpuMu.Lock()
	defer l.gpuMu.Unlock()
	for _, ref := range hosts {
		h := l.gpuHosts[ref]
		if !l.takeCards(vm.Self.Value, cards, ref) {
			continue
		}
		if len(wanted) == 0 || (h != nil && h.host.Place(vm.Self.Value, wanted)) {
			return ref, nil
		}
		l.freeCards(vm.Self.Value)
	}
	unassign(cards)
	var names, devices []string
	for _, ref := range hosts {
		names = append(names, "'"+l.Name(ref)+"'")
	}
	for i, r := range wanted {
		devices = append(devices, fmt.Sprintf("pciPassthru%d (%s)", i, r.Profile.Name))
	}
	for _, c := range cards {
		devices = append(devices, c.DeviceInfo.GetDescription().Label)
	}
	text := fmt.Sprintf("Insufficient resources. One or more devices (%s) required by VM '%s' are not available on host %s.",
		strings.Join(devices, ", "), vm.Name, strings.Join(names, ", "))
	fault := &types.InsufficientGraphicsResourcesFault{}
	fault.FaultMessage = []types.LocalizableMessage{{Key: "vpxd.vgpu.noRoom", Message: text}}
	return hosts[0], &failure{fault: fault, text: text}
}

// releaseGPUs frees what a VM holds, wherever that is, and tells readers.
func (l *Lab) releaseGPUs(ctx *simulator.Context, vm types.ManagedObjectReference) {
	l.gpuMu.Lock()
	l.freeCards(vm.Value)
	var touched []types.ManagedObjectReference
	for ref, h := range l.gpuHosts {
		if h.host.Release(vm.Value) {
			touched = append(touched, ref)
		}
	}
	l.gpuMu.Unlock()
	for _, ref := range touched {
		l.showGPUs(ctx, ref)
	}
}

// graphicsInfo is a host's books as vCenter reports them.
func (l *Lab) graphicsInfo(ref types.ManagedObjectReference) []types.HostGraphicsInfo {
	l.gpuMu.Lock()
	defer l.gpuMu.Unlock()
	h := l.gpuHosts[ref]
	if h == nil {
		return nil
	}
	var infos []types.HostGraphicsInfo
	for _, g := range h.host.GPUs {
		info := types.HostGraphicsInfo{
			DeviceName: g.Model, VendorName: "NVIDIA Corporation", PciId: g.PCI, GraphicsType: "sharedDirect",
			VgpuMode: string(g.Mode), MemorySizeInKB: int64(g.GB) << 20,
		}
		if g.Mode == gpu.None {
			info.GraphicsType = "shared"
		}
		for _, o := range g.Held() {
			vm := types.ManagedObjectReference{Type: "VirtualMachine", Value: o.VM}
			if !slices.Contains(info.Vm, vm) {
				info.Vm = append(info.Vm, vm)
			}
		}
		infos = append(infos, info)
	}
	return infos
}

// showGPUs publishes a host's books.
func (l *Lab) showGPUs(ctx *simulator.Context, ref types.ManagedObjectReference) {
	host, ok := l.reg.Get(ref).(*simulator.HostSystem)
	if !ok {
		return
	}
	ctx.WithLock(host, func() { // read under the lock, so that the last publication is the newest
		ctx.Update(host, []types.PropertyChange{{Name: "config.graphicsInfo", Val: l.graphicsInfo(ref)}})
	})
}

// guestGPU is one entry of the file that tells a guest what vCenter attached.
type guestGPU struct {
	Profile  string `json:"profile"`
	PCI      string `json:"pci_id"`
	UUID     string `json:"uuid"`
	MemoryMB int    `json:"memory_mb"`
	Licensed bool   `json:"licensed"`
}

// writeGuestGPUs writes the file that the guest's nvidia-smi answers from.
func (l *Lab) writeGuestGPUs(m *machine) error {
	gpus := []guestGPU{}
	l.gpuMu.Lock()
	for _, h := range l.gpuHosts {
		for _, g := range h.host.GPUs {
			for _, o := range g.Held() {
				if o.VM != m.ref.Value {
					continue
				}
				p, _ := gpu.Parse(o.Profile())
				sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", m.ref.Value, g.PCI, len(gpus)))
				gpus = append(gpus, guestGPU{
					Profile: o.Profile(), PCI: g.PCI, MemoryMB: p.MemoryMB(), Licensed: !m.guest.Unlicensed,
					UUID: fmt.Sprintf("GPU-%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]),
				})
			}
		}
	}
	l.gpuMu.Unlock()
	gpus = gpus[:max(0, len(gpus)-m.guest.MissingGPUs)]
	dir := l.shared(m.ref)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(gpus, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, ".gpus.json")
	if err := os.WriteFile(tmp, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "gpus.json"))
}
