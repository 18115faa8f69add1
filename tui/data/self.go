package data

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// Self is what the console's own process uses. Of a launched cluster that is
// the load generator and the proxies between the nodes, too.
type Self struct {
	Goroutines int
	HeapBytes  uint64 // live and dead objects
	TotalBytes uint64 // that the runtime holds of the operating system's memory
}

// selfEvery is how often the console looks at itself.
const selfEvery = 5 * time.Second

// self is the last look, renewed when it is old.
func (s *Source) self(now time.Time) Self {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.looked.IsZero() || now.Sub(s.mu.looked) >= selfEvery {
		s.mu.self, s.mu.looked = ownUse(), now
	}
	return s.mu.self
}

// ownUse asks the runtime. It costs microseconds and stops nothing.
func ownUse() Self {
	sample := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(sample)
	value := func(i int) uint64 {
		if sample[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return sample[i].Value.Uint64()
	}
	return Self{Goroutines: runtime.NumGoroutine(), HeapBytes: value(0), TotalBytes: value(1) - min(value(1), value(2))}
}
