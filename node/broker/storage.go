package broker

import (
	"fmt"
	"sync"
	"time"
)

// storage is how much all queues hold, looked up now and then.
type storage struct {
	sync.Mutex
	at    time.Time
	bytes int64
	why   string // "" while there is room
}

// storageInterval is how old the figure may be.
const storageInterval = 50 * time.Millisecond

// check is ErrFull while all queues together hold too much.
func (st *storage) check(b *Broker) error {
	if b.cfg.StoreBytes == 0 {
		return nil
	}
	st.Lock()
	defer st.Unlock()
	if now := b.cfg.Now(); now.Sub(st.at) >= storageInterval {
		st.at, st.bytes = now, 0
		for _, info := range b.cfg.Index.Queues() {
			st.bytes += int64(info.Bytes)
		}
	}
	if st.bytes < b.cfg.StoreBytes {
		st.why = ""
		return nil
	}
	st.why = fmt.Sprintf("all queues together have %d bytes, at most %d", st.bytes, b.cfg.StoreBytes)
	return fmt.Errorf("%w: %s", ErrFull, st.why)
}
