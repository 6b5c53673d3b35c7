package gpu

import (
	"fmt"
	"sort"
	"strings"
	"testing"
)

// mix counts instances by name, such as "3g" or "1g.20".
type mix map[string]int

func (m mix) String() string {
	var parts []string
	for k, n := range m {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%dx%s", n, k))
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, "+")
}

// maximal enumerates every arrangement that the judge's own rule allows (any start it calls free) and keeps
// the mixes to which, in that very arrangement or another of the same mix, nothing can be added.
func maximal(names map[string]string, slices int) []string {
	feasible := map[string]mix{}
	seen := map[string]bool{}
	var walk func(g *GPU, m mix)
	walk = func(g *GPU, m mix) {
		key := fmt.Sprint(occupiedKey(g, slices), m)
		if seen[key] {
			return
		}
		seen[key] = true
		copied := mix{}
		for k, v := range m {
			copied[k] = v
		}
		feasible[m.String()] = copied
		for short, name := range names {
			p, _ := Parse(name)
			inst, n, _ := instanceOf(p)
			used := occupied(g, n)
			for _, s := range inst.starts {
				if !free(used, s, inst.size) {
					continue
				}
				next := &GPU{Mode: MIG, held: append(g.Held(), Held{profile: p, start: s, size: inst.size})}
				m[short]++
				walk(next, m)
				m[short]--
			}
		}
	}
	walk(&GPU{Mode: MIG}, mix{})
	var out []string
	for text, m := range feasible {
		full := true
		for short := range names {
			bigger := mix{short: 1}
			for k, v := range m {
				bigger[k] += v
			}
			if _, ok := feasible[bigger.String()]; ok {
				full = false
			}
		}
		if full {
			out = append(out, text)
		}
	}
	sort.Strings(out)
	return out
}

func occupiedKey(g *GPU, n int) []bool { return occupied(g, n) }

func TestMaximalMixes(t *testing.T) {
	a100 := map[string]string{
		"1g": "grid_a100-1-5c", "2g": "grid_a100-2-10c", "3g": "grid_a100-3-20c", "4g": "grid_a100-4-20c", "7g": "grid_a100-7-40c",
	}
	want := []mix{
		{"1g": 7}, {"1g": 5, "2g": 1}, {"1g": 4, "3g": 1}, {"1g": 3, "2g": 2}, {"1g": 3, "4g": 1}, {"1g": 2, "2g": 1, "3g": 1},
		{"1g": 1, "2g": 3}, {"1g": 1, "2g": 1, "4g": 1}, {"2g": 2, "3g": 1}, {"3g": 2}, {"3g": 1, "4g": 1}, {"7g": 1},
	}
	var texts []string
	for _, m := range want {
		texts = append(texts, m.String())
	}
	sort.Strings(texts)
	if got := maximal(a100, 8); fmt.Sprint(got) != fmt.Sprint(texts) {
		t.Errorf("8 slices without double memory:\n got %v\nwant %v", got, texts)
	}
	a100["1g.10"] = "grid_a100-1-10c"
	got := maximal(a100, 8)
	if len(got) != 28 {
		t.Errorf("8 slices with double memory: %d maximal mixes, want 28: %v", len(got), got)
	}
	for _, m := range []mix{{"1g.10": 4}, {"1g": 6, "1g.10": 1}, {"1g.10": 1, "2g": 3}, {"1g.10": 1, "2g": 1, "4g": 1}} {
		if !strings.Contains(" "+strings.Join(got, " ")+" ", " "+m.String()+" ") {
			t.Errorf("with double memory: %s is missing in %v", m, got)
		}
	}
	a30 := map[string]string{"1g": "nvidia_a30-1-6c", "2g": "nvidia_a30-2-12c", "4g": "nvidia_a30-4-24c"}
	if got := maximal(a30, 4); fmt.Sprint(got) != "[1x2g+2x1g 1x4g 2x2g 4x1g]" {
		t.Errorf("A30: %v", got)
	}
}

func TestMaximaPerProfile(t *testing.T) {
	for name, want := range map[string]int{
		"grid_a100-1-5c": 7, "grid_a100-1-5cme": 1, "grid_a100-1-10c": 4, "grid_a100-2-10c": 3, "grid_a100-3-20c": 2,
		"grid_a100-4-20c": 1, "grid_a100-7-40c": 1, "grid_a100d-1-10c": 7, "NVIDIA_H100XM-1-20C": 4, "nvidia_h200x-3-71c": 2,
		"nvidia_a30-1-6c": 4, "nvidia_a30-2-12c": 2, "grid_a100-10c": 4, "grid_a100-5c": 8, "nvidia_l40s-8c": 6, "nvidia_h100-80c": 1,
	} {
		for _, policy := range []Policy{Hopper, Ampere} {
			p, err := Parse(name)
			if err != nil || !Known(p) {
				t.Fatalf("%s: %v, known %v", name, err, Known(p))
			}
			mode := SameSize
			if p.MIGBacked {
				mode = MIG
			}
			h := Host{Policy: policy, GPUs: []*GPU{{GB: 80, Mode: mode, Profiles: []string{name}}}}
			n := 0
			for h.Place(fmt.Sprint("vm-", n), []Request{{Profile: p}}) {
				n++
			}
			if n != want {
				t.Errorf("%s under %s: %d fit, want %d", name, policy, n, want)
			}
		}
	}
}

func TestPolicies(t *testing.T) {
	host := func(policy Policy) *Host {
		return &Host{Policy: policy, GPUs: []*GPU{{GB: 40, Mode: MIG, Profiles: []string{"grid_a100-3-20c", "grid_a100-4-20c"}}}}
	}
	three, _ := Parse("grid_a100-3-20c")
	four, _ := Parse("grid_a100-4-20c")
	hopper, ampere := host(Hopper), host(Ampere)
	hopper.Place("a", []Request{{Profile: three}})
	ampere.Place("a", []Request{{Profile: three}})
	if !hopper.Place("b", []Request{{Profile: four}}) {
		t.Error("Hopper's manager puts 3g at slice 4, so 4g still fits")
	}
	if ampere.Place("b", []Request{{Profile: four}}) {
		t.Error("Ampere's manager puts 3g at slice 0 and strands 4g")
	}
}

func TestSameSizeLockAndRelease(t *testing.T) {
	ten, _ := Parse("grid_a100-10c")
	five, _ := Parse("grid_a100-5c")
	h := Host{GPUs: []*GPU{{GB: 40, Mode: SameSize, Profiles: []string{ten.Name, five.Name}}}}
	if !h.Place("a", []Request{{Profile: ten}, {Profile: ten}}) || h.Place("b", []Request{{Profile: five}}) {
		t.Error("the first type locks a same-size GPU")
	}
	if !h.Release("a") || !h.Place("b", []Request{{Profile: five}}) {
		t.Error("an empty GPU takes another size")
	}
	if h.Place("c", []Request{{Profile: five}, {Profile: ten}}) || len(h.GPUs[0].Held()) != 1 {
		t.Error("a VM whose second vGPU does not fit takes nothing")
	}
}

func TestCapacityCountsWhatTheSlicesAllow(t *testing.T) {
	names := []string{"grid_a100-1-5c", "grid_a100-2-10c", "grid_a100-3-20c", "grid_a100-4-20c"}
	one, _ := Parse(names[0])
	for policy, want := range map[Policy][]int32{Hopper: {6, 2, 1, 1}, Ampere: {6, 2, 1, 0}} { // the 1g at slice 4, or at 0
		h := Host{Policy: policy, GPUs: []*GPU{{GB: 40, Mode: MIG, Profiles: names}}}
		h.Place("a", []Request{{Profile: one}})
		for i, name := range names {
			p, _ := Parse(name)
			if _, remaining, _ := h.Capacity(p); remaining != want[i] {
				t.Errorf("%s under %s: %d remain, want %d", name, policy, remaining, want[i])
			}
		}
		if consumed, _, most := h.Capacity(one); consumed != 1 || most != 7 || len(h.GPUs[0].Held()) != 1 {
			t.Errorf("consumed %d of %d, and asking changed nothing: %v", consumed, most, h.GPUs[0].Held())
		}
	}
}
