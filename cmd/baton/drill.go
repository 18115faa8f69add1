package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"baton/store/vfs"
)

// drillFile is what a file of --disk-drill says. A file that is not there, or
// cannot be read, says nothing: the disk is as good as it is.
type drillFile struct {
	Full        bool  `json:"full"`          // writes fail: no space is left
	SyncDelayMS int64 `json:"sync_delay_ms"` // every sync takes so much longer
}

// diskDrill is the operating system's file system, made full or slow while a
// file says so: how a cluster takes a bad disk can be tried on one that is good.
type diskDrill struct {
	*vfs.Hook
	full  atomic.Bool
	delay atomic.Int64
}

// drillEvery is how often the file is looked at.
const drillEvery = 100 * time.Millisecond

// startDrill watches the file until ctx ends.
func startDrill(ctx context.Context, file string, logger *slog.Logger) *diskDrill {
	d := &diskDrill{}
	d.Hook = vfs.NewHook(vfs.OS{}, d.before)
	logger.Warn("disk drill: this node's disk fails when a file says so", "file", file)
	d.read(file, logger)
	go d.runWatch(ctx, file, logger)
	return d
}

func (d *diskDrill) runWatch(ctx context.Context, file string, logger *slog.Logger) {
	tick := time.NewTicker(drillEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			d.read(file, logger)
		}
	}
}

func (d *diskDrill) read(file string, logger *slog.Logger) {
	var f drillFile
	if b, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(b, &f); err != nil {
			f = drillFile{}
		}
	}
	f.SyncDelayMS = max(0, min(f.SyncDelayMS, time.Minute.Milliseconds()))
	if d.full.Swap(f.Full) != f.Full || d.delay.Swap(f.SyncDelayMS) != f.SyncDelayMS {
		logger.Warn("disk drill", "full", f.Full, "sync_delay_ms", f.SyncDelayMS)
	}
}

func (d *diskDrill) before(op vfs.Op) error {
	switch {
	case op.Kind == vfs.OpSync && d.delay.Load() > 0:
		time.Sleep(time.Duration(d.delay.Load()) * time.Millisecond)
	case d.full.Load() && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpCreate):
		return vfs.ErrFull
	}
	return nil
}

// Free is what the disk can still take.
func (d *diskDrill) Free(dir string) (int64, bool) {
	if d.full.Load() {
		return 0, true
	}
	return vfs.Free(d.Unwrap(), dir)
}
