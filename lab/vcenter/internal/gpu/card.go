package gpu

// instance is what one MIG-backed profile takes of a card.
type instance struct {
	compute int
	size    int // memory slices
	starts  []int
	once    bool // at most one per GPU (media extension)
	share   int  // vGPUs of one type in one GPU instance: 1, or several (DC)
}

// card is one row of the table in NVIDIA's vgpu-device-manager (examples/config-example.yaml): the
// largest number of same-size time-sliced types by their GB, and the MIG types by compute slices and GB.
type card struct {
	tokens []string
	gb     int
	slices int // memory slices of a MIG-capable card, else 0
	timed  map[int]int
	mig    map[[2]int]instance
}

// eightSlices is the geometry that nvidia-smi mig -lgipp prints for A100, H100, H200 and B200;
// sizes in GB are those of the profiles 1, 1 with double memory, 2, 3, 4 and 7.
func eightSlices(one, double, two, three, four, seven int) map[[2]int]instance {
	return map[[2]int]instance{
		{1, one}:    {compute: 1, size: 1, starts: []int{0, 1, 2, 3, 4, 5, 6}},
		{1, double}: {compute: 1, size: 2, starts: []int{0, 2, 4, 6}},
		{2, two}:    {compute: 2, size: 2, starts: []int{0, 2, 4}},
		{3, three}:  {compute: 3, size: 4, starts: []int{0, 4}},
		{4, four}:   {compute: 4, size: 4, starts: []int{0}},
		{7, seven}:  {compute: 7, size: 8, starts: []int{0}},
	}
}

// fourSlices is the geometry of a card with four memory slices, where a type may share a GPU instance: per compute slices the GB
// of its types. How many share is the instance's memory by theirs. Where NVIDIA prints no starts (DC), they stand as on an A30.
func fourSlices(gb int, one, two, four []int) map[[2]int]instance {
	found := map[[2]int]instance{}
	for compute, sizes := range map[int][]int{1: one, 2: two, 4: four} {
		starts := map[int][]int{1: {0, 1, 2, 3}, 2: {0, 2}, 4: {0}}[compute]
		for _, each := range sizes {
			found[[2]int{compute, each}] = instance{compute: compute, size: compute, starts: starts, share: gb / 4 * compute / each}
		}
	}
	return found
}

var cards = []card{
	{[]string{"a100", "a100x", "a800"}, 40, 8, map[int]int{4: 10, 5: 8, 8: 5, 10: 4, 20: 2, 40: 1}, eightSlices(5, 10, 10, 20, 20, 40)},
	{[]string{"a100d", "a100dx", "a800d", "a800dx"}, 80, 8,
		map[int]int{4: 20, 8: 10, 10: 8, 16: 5, 20: 4, 40: 2, 80: 1}, eightSlices(10, 20, 20, 40, 40, 80)},
	{[]string{"a30"}, 24, 4, map[int]int{4: 6, 6: 4, 8: 3, 12: 2, 24: 1}, fourSlices(24, []int{6}, []int{12}, []int{24})},
	{[]string{"h100", "h100xm", "h800", "h800xm"}, 80, 8,
		map[int]int{4: 20, 5: 16, 8: 10, 10: 8, 16: 5, 20: 4, 40: 2, 80: 1}, eightSlices(10, 20, 20, 40, 40, 80)},
	{[]string{"h100l", "h100xl", "h800l"}, 94, 8,
		map[int]int{4: 23, 6: 15, 11: 8, 15: 6, 23: 4, 47: 2, 94: 1}, eightSlices(12, 24, 24, 47, 47, 94)},
	{[]string{"h200", "h200x", "h20x"}, 141, 8,
		map[int]int{4: 32, 7: 20, 8: 16, 14: 10, 17: 8, 28: 5, 35: 4, 70: 2, 141: 1}, eightSlices(18, 35, 35, 71, 71, 141)},
	{[]string{"h100xs"}, 64, 8, map[int]int{4: 16, 8: 8, 16: 4, 32: 2, 64: 1}, eightSlices(8, 16, 16, 32, 32, 64)},
	{[]string{"h20"}, 96, 8,
		map[int]int{4: 24, 6: 16, 8: 12, 12: 8, 16: 6, 24: 4, 32: 3, 48: 2, 96: 1}, eightSlices(12, 24, 24, 48, 48, 96)},
	{[]string{"gh200"}, 96, 8, map[int]int{96: 1}, eightSlices(12, 24, 24, 48, 48, 96)},
	{[]string{"gh200l"}, 144, 8, map[int]int{144: 1}, eightSlices(18, 36, 36, 72, 72, 144)},
	{[]string{"b200x"}, 180, 8, map[int]int{180: 1}, eightSlices(23, 45, 45, 90, 90, 180)},
	{[]string{"gb200"}, 189, 8, map[int]int{189: 1}, eightSlices(24, 47, 47, 95, 95, 189)},
	{[]string{"b300x"}, 269, 8, map[int]int{269: 1}, eightSlices(34, 67, 67, 135, 135, 269)},
	{[]string{"dc"}, 96, 4, map[int]int{8: 12, 12: 8, 16: 6, 24: 4, 32: 3, 48: 2, 96: 1},
		fourSlices(96, []int{8, 12, 24}, []int{12, 16, 24, 48}, []int{24, 32, 48, 96})},
	{[]string{"l40s", "l40", "a40", "l20", "rtx6000-ada", "rtx5880-ada", "rtxa6000"}, 48, 0,
		map[int]int{1: 32, 2: 24, 3: 16, 4: 12, 6: 8, 8: 6, 12: 4, 16: 3, 24: 2, 48: 1}, nil},
	{[]string{"l4", "a10", "l2", "rtxa5000", "rtxa5500", "rtx6000p"}, 24, 0, map[int]int{1: 24, 2: 12, 4: 6, 6: 4, 8: 3, 12: 2, 24: 1}, nil},
	{[]string{"rtx8000p"}, 48, 0, map[int]int{1: 32, 2: 24, 3: 16, 4: 8, 6: 8, 8: 6, 12: 4, 16: 3, 24: 2, 48: 1}, nil},
	{[]string{"rtx5000-ada", "v100d", "v100dx", "v100s"}, 32, 0, map[int]int{1: 32, 2: 16, 4: 8, 8: 4, 16: 2, 32: 1}, nil},
	{[]string{"t4", "a16", "a2", "v100", "v100x", "v100l"}, 16, 0, map[int]int{1: 16, 2: 8, 4: 4, 8: 2, 16: 1}, nil},
}

// cardOf finds the row of a profile's card.
func cardOf(token string) (card, bool) {
	for _, c := range cards {
		for _, t := range c.tokens {
			if t == token {
				return c, true
			}
		}
	}
	return card{}, false
}

// instanceOf says what a MIG-backed profile takes; ok is false for a type that its card does not have.
func instanceOf(p Profile) (instance, int, bool) {
	c, ok := cardOf(p.Token)
	if !ok || c.slices == 0 {
		return instance{}, 0, false
	}
	i, ok := c.mig[[2]int{p.Compute, p.GB}]
	i.once = p.MediaExt
	return i, c.slices, ok
}

// Known tells whether the table has a maximum for this profile, so that a model file cannot offer a type that never fits.
func Known(p Profile) bool {
	if p.MIGBacked {
		_, _, ok := instanceOf(p)
		return ok
	}
	c, ok := cardOf(p.Token)
	return ok && c.timed[p.GB] > 0
}
