package stomp

// Limits of the frames that a Decoder accepts, in bytes except Headers. The
// zero value of a field means its default.
type Limits struct {
	Command     int // command line; 1 KiB
	HeaderLine  int // one header line; 10 KiB
	Headers     int // number of headers; 1000
	HeaderBytes int // all header lines of a frame together; 256 KiB
	Body        int // body; 16 MiB
	Frame       int // the whole frame; the sum of the others
}

// WithDefaults fills in what is not set.
func (l Limits) WithDefaults() Limits {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&l.Command, 1<<10)
	set(&l.HeaderLine, 10<<10)
	set(&l.Headers, 1000)
	set(&l.HeaderBytes, 256<<10)
	set(&l.Body, 16<<20)
	set(&l.Frame, l.Command+l.HeaderBytes+l.Body+8)
	return l
}

// ConnectLimits are for what a client sends before it is known: its first
// frame has 16 KiB at most.
func ConnectLimits() Limits { return Limits{Frame: 16 << 10}.WithDefaults() }
