package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a flag of a number of bytes, with or without a unit.
type byteSize int64

var byteUnits = []struct {
	name string
	size int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}, {"", 1}}

func (b *byteSize) Type() string { return "bytes" }

func (b *byteSize) String() string {
	for _, u := range byteUnits[:3] {
		if n := int64(*b); n != 0 && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(*b))
}

func (b *byteSize) Set(s string) error {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || f < 0 || f*float64(u.size) > math.MaxInt64/2 {
			break
		}
		*b = byteSize(f * float64(u.size))
		return nil
	}
	return errors.New("write a number of bytes, as 2GiB, 500MB or 1048576")
}
