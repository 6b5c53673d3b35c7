package gpu

// Capacity says how many vGPUs of a type the host holds, how many more it takes as its GPUs now stand, and how many it would
// take empty. Starts of one type never overlap each other, so filling them in any order finds them all.
func (h *Host) Capacity(p Profile) (consumed, remaining, most int32) {
	for _, g := range h.GPUs {
		for _, o := range g.held {
			if o.profile.Name == p.Name {
				consumed++
			}
		}
		full, empty := *g, *g
		full.held, empty.held = g.Held(), nil
		remaining += fill(&full, p)
		most += fill(&empty, p)
	}
	return consumed, remaining, most
}

func fill(g *GPU, p Profile) (n int32) {
	for {
		start, size, ok := g.fits(p, Ampere)
		if !ok {
			return n
		}
		g.held = append(g.held, Held{profile: p, start: start, size: size})
		n++
	}
}
