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
			n := fits(t, name, policy)
			if n != want {
				t.Errorf("%s under %s: %d fit, want %d", name, policy, n, want)
			}
		}
	}
}

// published is NVIDIA's own list, cards with the same list together: vgpu-device-manager, examples/config-example.yaml.
var published = map[string]string{
	"a10 l2 l4 rtx6000p rtxa5000 rtxa5500": "4c:6 6c:4 8c:3 12c:2 24c:1",
	"a100 a100x a800":                      "4c:10 5c:8 8c:5 10c:4 20c:2 40c:1 1-5cme:1 1-5c:7 1-10c:4 2-10c:3 3-20c:2 4-20c:1 7-40c:1",
	"a100d a100dx a800d a800dx":            "4c:20 8c:10 10c:8 16c:5 20c:4 40c:2 80c:1 1-10cme:1 1-10c:7 1-20c:4 2-20c:3 3-40c:2 4-40c:1 7-80c:1",
	"a16 a2 t4 v100 v100l v100x":           "4c:4 8c:2 16c:1",
	"a30":                                  "4c:6 6c:4 8c:3 12c:2 24c:1 1-6cme:1 1-6c:4 2-12cme:1 2-12c:2 4-24c:1",
	"a40 l20 l40 l40s rtx5880-ada rtx6000-ada rtxa6000": "4c:12 6c:8 8c:6 12c:4 16c:3 24c:2 48c:1",
	"b200x":                          "180c:1 1-23cme:1 1-23c:7 1-45c:4 2-45c:3 3-90c:2 4-90c:1 7-180c:1",
	"b300x":                          "269c:1 1-34cme:1 1-34c:7 1-67c:4 2-67c:3 3-135c:2 4-135c:1 7-269c:1",
	"dc":                             "8c:12 12c:8 16c:6 24c:4 32c:3 48c:2 96c:1 1-8c:12 1-12c:8 1-24c:4 2-12c:8 2-16c:6 2-24c:4 2-48c:2 4-24c:4 4-32c:3 4-48c:2 4-96c:1",
	"gb200":                          "189c:1 1-24cme:1 1-24c:7 1-47c:4 2-47c:3 3-95c:2 4-95c:1 7-189c:1",
	"gh200":                          "96c:1 1-12cme:1 1-12c:7 1-24c:4 2-24c:3 3-48c:2 4-48c:1 7-96c:1",
	"gh200l":                         "144c:1 1-18cme:1 1-18c:7 1-36c:4 2-36c:3 3-72c:2 4-72c:1 7-144c:1",
	"h100 h100xm h800 h800xm":        "4c:20 5c:16 8c:10 10c:8 16c:5 20c:4 40c:2 80c:1 1-10cme:1 1-10c:7 1-20c:4 2-20c:3 3-40c:2 4-40c:1 7-80c:1",
	"h100l h100xl h800l":             "4c:23 6c:15 11c:8 15c:6 23c:4 47c:2 94c:1 1-12cme:1 1-12c:7 1-24c:4 2-24c:3 3-47c:2 4-47c:1 7-94c:1",
	"h100xs":                         "4c:16 8c:8 16c:4 32c:2 64c:1 1-8cme:1 1-8c:7 1-16c:4 2-16c:3 3-32c:2 4-32c:1 7-64c:1",
	"h20":                            "4c:24 6c:16 8c:12 12c:8 16c:6 24c:4 32c:3 48c:2 96c:1 1-12cme:1 1-12c:7 1-24c:4 2-24c:3 3-48c:2 4-48c:1 7-96c:1",
	"h200 h200x h20x":                "4c:32 7c:20 8c:16 14c:10 17c:8 28c:5 35c:4 70c:2 141c:1 1-18cme:1 1-18c:7 1-35c:4 2-35c:3 3-71c:2 4-71c:1 7-141c:1",
	"rtx5000-ada v100d v100dx v100s": "4c:8 8c:4 16c:2 32c:1",
	"rtx8000p":                       "4c:8 6c:8 8c:6 12c:4 16c:3 24c:2 48c:1",
}

func TestEveryPublishedMaximum(t *testing.T) {
	seen := 0
	for tokens, list := range published {
		for _, token := range strings.Fields(tokens) {
			for _, entry := range strings.Fields(list) {
				short, most, _ := strings.Cut(entry, ":")
				name := "nvidia_" + token + "-" + short
				seen++
				if got := fmt.Sprint(fits(t, name, Ampere)); got != most {
					t.Errorf("%s: %s fit on an empty GPU, NVIDIA says %s", name, got, most)
				}
			}
		}
	}
	if seen < 300 {
		t.Errorf("only %d types were looked at", seen)
	}
}

func TestTypesThatShareAnInstance(t *testing.T) {
	names := []string{"nvidia_dc-1-8c", "nvidia_dc-1-24c"}
	small, _ := Parse(names[0])
	whole, _ := Parse(names[1])
	for _, policy := range []Policy{Hopper, Ampere, Adversarial} {
		h := Host{Policy: policy, GPUs: []*GPU{{GB: 96, Mode: MIG, Profiles: names}}}
		h.Place("a", []Request{{Profile: small}, {Profile: small}, {Profile: small}, {Profile: small}})
		if !h.Place("b", []Request{{Profile: whole}, {Profile: whole}}) || h.Place("c", []Request{{Profile: whole}}) {
			t.Errorf("%s: four vGPUs of a third of a slice take two of four slices: %v", policy, h.GPUs[0].Held())
		}
	}
}

// fits counts how many of a type an empty GPU takes.
func fits(t *testing.T, name string, policy Policy) int {
	t.Helper()
	p, err := Parse(name)
	if err != nil || !Known(p) {
		t.Fatalf("%s: %v, known %v", name, err, Known(p))
	}
	mode := SameSize
	if p.MIGBacked {
		mode = MIG
	}
	h := Host{Policy: policy, GPUs: []*GPU{{GB: 96, Mode: mode, Profiles: []string{name}}}}
	n := 0
	for h.Place(fmt.Sprint("vm-", n), []Request{{Profile: p}}) {
		n++
	}
	return n
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
