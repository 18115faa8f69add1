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
	Full        bool   `json:"full"`          // writes fail: no space is left
	SyncDelayMS int64  `json:"sync_delay_ms"` // every sync takes so much longer
	PowerLoss   string `json:"power_loss"`    // when another text stands here than at the start, the power is lost
}

// diskDrill is the operating system's file system, made full or slow while a
// file says so, and ended as by a loss of power: how a cluster takes a bad disk
// can be tried on one that is good.
type diskDrill struct {
	*vfs.Losable
	full      atomic.Bool
	delay     atomic.Int64
	powerLoss string // of the file at the start
}

// drillEvery is how often the file is looked at. Several nodes that are to lose
// their power together do so within about as much.
const drillEvery = 20 * time.Millisecond

// startDrill watches the file until ctx ends.
func startDrill(ctx context.Context, file string, logger *slog.Logger) *diskDrill {
	d := &diskDrill{}
	d.Losable = vfs.NewLosable(vfs.NewHook(vfs.OS{}, d.before))
	logger.Warn("disk drill: this node's disk fails when a file says so", "file", file)
	d.powerLoss = d.read(file, logger).PowerLoss
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
			if p := d.read(file, logger).PowerLoss; p != "" && p != d.powerLoss {
				d.losePower(logger)
			}
		}
	}
}

// losePower takes what was not synced from the disk and ends the process, with
// no goodbye.
func (d *diskDrill) losePower(logger *slog.Logger) {
	logger.Warn("disk drill: the power is lost, and with it what was not synced")
	if err := d.PowerOff(); err != nil {
		logger.Error("disk drill: not all that was not synced is lost", "err", err)
	}
	if self, err := os.FindProcess(os.Getpid()); err != nil || self.Kill() != nil {
		os.Exit(137) // as good as killed
	}
}

func (d *diskDrill) read(file string, logger *slog.Logger) drillFile {
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
	return f
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
