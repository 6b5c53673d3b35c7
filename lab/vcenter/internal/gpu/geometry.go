package gpu

import (
	"math/rand/v2"
	"strings"
)

// Policy is the habit of the physical GPU manager: where it starts a MIG instance, which nobody can see from outside.
type Policy string

// Hopper fills one GPU before the next and its upper half first, so that a 4-slice instance still fits
// below; Ampere takes the lowest start and may strand it; Adversarial takes any that is free.
const (
	Hopper      Policy = "hopper"
	Ampere      Policy = "ampere"
	Adversarial Policy = "adversarial"
)

// occupied marks the memory slices in use on a GPU of n slices.
func occupied(g *GPU, n int) []bool {
	used := make([]bool, n)
	for _, o := range g.held {
		for s := o.start; o.start >= 0 && s < o.start+o.size && s < n; s++ {
			used[s] = true
		}
	}
	return used
}

// free says whether the slices [start, start+size) are all free.
func free(used []bool, start, size int) bool {
	if start+size > len(used) {
		return false
	}
	for s := start; s < start+size; s++ {
		if used[s] {
			return false
		}
	}
	return true
}

// joins finds a GPU instance that already holds vGPUs of this very type and takes one more. That managers fill one instance
// before they make the next is this judge's assumption: nobody publishes what they do.
func joins(g *GPU, p Profile, inst instance) (start int, ok bool) {
	held := map[int]int{}
	for _, o := range g.held {
		if o.start >= 0 && strings.EqualFold(o.profile.Name, p.Name) {
			held[o.start]++
		}
	}
	for _, s := range inst.starts {
		if held[s] > 0 && held[s] < inst.share {
			return s, true
		}
	}
	return 0, false
}

// migStart finds where the GPU's manager starts one more instance of p; ok is false if nothing is free.
// An instance never moves once it runs. Slices that do not overlap never add up to more compute than the card has.
func migStart(g *GPU, p Profile, policy Policy) (start, size int, ok bool) {
	inst, n, known := instanceOf(p)
	if !known {
		return 0, 0, false
	}
	if inst.once {
		for _, o := range g.held {
			if o.profile.MediaExt {
				return 0, 0, false
			}
		}
	}
	if s, shared := joins(g, p, inst); shared {
		return s, inst.size, true
	}
	used := occupied(g, n)
	var starts []int
	for _, s := range inst.starts {
		// The last memory slice of an 8-slice card belongs to no compute slice: double-memory at 6 takes it, nothing starts there.
		if s+inst.size <= n && free(used, s, inst.size) {
			starts = append(starts, s)
		}
	}
	if len(starts) == 0 {
		return 0, 0, false
	}
	switch policy {
	case Adversarial:
		return starts[rand.IntN(len(starts))], inst.size, true
	case Hopper:
		for _, s := range starts {
			if s >= n/2 {
				return s, inst.size, true
			}
		}
	}
	return starts[0], inst.size, true
}
