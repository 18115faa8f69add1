package zkclient

import (
	"context"
	"fmt"
	"log/slog"
)

// libraryLog routes the library's log lines to slog at debug level.
type libraryLog struct{ *slog.Logger }

func (l libraryLog) Printf(format string, args ...any) {
	if l.Enabled(context.Background(), slog.LevelDebug) {
		l.Debug("zk library: " + fmt.Sprintf(format, args...))
	}
}
