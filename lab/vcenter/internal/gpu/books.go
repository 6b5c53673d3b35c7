package gpu

import (
	"math/rand/v2"
	"sort"
	"strings"
)

// Mode is HostGraphicsInfo.vgpuMode.
type Mode string

// The values of vSphere 8.0 U3.
const (
	None      Mode = "none"
	SameSize  Mode = "sameSize"
	MixedSize Mode = "mixedSize"
	MIG       Mode = "multiInstanceGpu"
)

const maxPerGPU = 32 // vGPU types end there whatever their size

// Held is one vGPU on a physical GPU.
type Held struct {
	VM      string // managed object id
	profile Profile
	start   int // first memory slice, -1 for a time-sliced type
	size    int
}

// Profile is the type that is held.
func (h Held) Profile() string { return h.profile.Name }

// Start is the first memory slice of a MIG instance, -1 for a time-sliced type.
func (h Held) Start() int { return h.start }

// GPU is one physical GPU of a host, with what it holds.
type GPU struct {
	Model    string
	PCI      string
	GB       int
	Mode     Mode
	Profiles []string // the types that its host offers
	held     []Held
}

// Held lists what the GPU holds, oldest first.
func (g *GPU) Held() []Held { return append([]Held(nil), g.held...) }

// offers tells whether the host offers the type on this GPU.
func (g *GPU) offers(p Profile) bool {
	for _, name := range g.Profiles {
		if strings.EqualFold(name, p.Name) {
			return true
		}
	}
	return false
}

// fits finds a place for one more p: the start slice of a MIG instance, or -1.
func (g *GPU) fits(p Profile, policy Policy) (start, size int, ok bool) {
	if !g.offers(p) {
		return 0, 0, false
	}
	if g.Mode == MIG {
		if !p.MIGBacked {
			return 0, 0, false
		}
		return migStart(g, p, policy)
	}
	if p.MIGBacked || g.Mode == None {
		return 0, 0, false
	}
	c, known := cardOf(p.Token)
	if !known || c.timed[p.GB] == 0 || len(g.held) >= maxPerGPU {
		return 0, 0, false
	}
	same, sum := 0, p.GB
	for _, h := range g.held {
		sum += h.profile.GB
		if h.profile.GB == p.GB {
			same++
		} else if g.Mode != MixedSize {
			return 0, 0, false // the first type locks a same-size GPU until it is empty
		}
	}
	if same >= c.timed[p.GB] || (g.Mode == MixedSize && sum > g.GB) {
		return 0, 0, false
	}
	return -1, 0, true
}

// Host is a host's GPUs and the habit of its managers.
type Host struct {
	GPUs        []*GPU
	Policy      Policy
	Consolidate bool // fill one GPU before the next (graphicsConfig's assignment policy), same-size mode only
}

// Request is one vGPU that a VM's device asks for; PCI pins it to a physical GPU. The members of a device group share a number
// above 0 and follow each other.
type Request struct {
	Profile Profile
	PCI     string
	Group   int
}

// Place takes room for all vGPUs of a VM, or takes nothing and returns false.
func (h *Host) Place(vm string, wanted []Request) bool {
	before := make([][]Held, len(h.GPUs))
	for i, g := range h.GPUs {
		before[i] = g.Held()
	}
	for len(wanted) > 0 {
		n := 1
		for wanted[0].Group > 0 && n < len(wanted) && wanted[n].Group == wanted[0].Group {
			n++
		}
		if placed := n == 1 && h.placeOne(vm, wanted[0]) || n > 1 && h.placeLinked(vm, wanted[:n]); !placed {
			for i, g := range h.GPUs {
				g.held = before[i]
			}
			return false
		}
		wanted = wanted[n:]
	}
	return true
}

// placeLinked puts the members of a device group on GPUs that are linked: a host's GPUs are so in blocks of the group's size, in
// the order of the bus, as the partitions of an NVSwitch or pairs with a bridge are.
func (h *Host) placeLinked(vm string, wanted []Request) bool {
	blocks := make([]int, len(h.GPUs)/len(wanted))
	for i := range blocks {
		blocks[i] = i * len(wanted)
	}
	if h.Policy == Adversarial {
		rand.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
	}
	for _, first := range blocks {
		fits := true
		for i, r := range wanted {
			_, _, ok := h.GPUs[first+i].fits(r.Profile, h.Policy)
			fits = fits && ok
		}
		if !fits {
			continue
		}
		for i, r := range wanted {
			g := h.GPUs[first+i]
			g.held = append(g.held, Held{VM: vm, profile: r.Profile, start: -1})
		}
		return true
	}
	return false
}

func (h *Host) placeOne(vm string, r Request) bool {
	for _, g := range h.order() {
		if r.PCI != "" && !samePCI(r.PCI, g.PCI) {
			continue
		}
		if start, size, ok := g.fits(r.Profile, h.Policy); ok {
			g.held = append(g.held, Held{VM: vm, profile: r.Profile, start: start, size: size})
			return true
		}
	}
	return false
}

// order is the order in which the manager tries the GPUs.
func (h *Host) order() []*GPU {
	gpus := append([]*GPU(nil), h.GPUs...)
	if h.Policy == Adversarial {
		rand.Shuffle(len(gpus), func(i, j int) { gpus[i], gpus[j] = gpus[j], gpus[i] })
		return gpus
	}
	sort.SliceStable(gpus, func(i, j int) bool {
		fill := h.Consolidate || (h.Policy == Hopper && gpus[i].Mode == MIG && gpus[j].Mode == MIG)
		if fill {
			return len(gpus[i].held) > len(gpus[j].held)
		}
		return len(gpus[i].held) < len(gpus[j].held)
	})
	return gpus
}

// Release frees everything that a VM holds on the host and tells whether that was anything.
func (h *Host) Release(vm string) bool {
	freed := false
	for _, g := range h.GPUs {
		kept := g.held[:0:0]
		for _, o := range g.held {
			if o.VM != vm {
				kept = append(kept, o)
			}
		}
		freed = freed || len(kept) != len(g.held)
		g.held = kept
	}
	return freed
}

// samePCI compares addresses with and without their segment.
func samePCI(a, b string) bool {
	short := func(s string) string {
		s = strings.ToLower(s)
		if parts := strings.Split(s, ":"); len(parts) == 3 {
			return parts[1] + ":" + parts[2]
		}
		return s
	}
	return short(a) == short(b)
}
