package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"
)

// logFlags are the flags of commands that log.
type logFlags struct{ level, format string }

func (l *logFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&l.level, "log-level", "info", "debug, info, warn or error")
	c.Flags().StringVar(&l.format, "log-format", "text", "text or json")
}

func (l *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, usageError("--log-level is %q: use debug, info, warn or error", l.level)
	}
	opt := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opt)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opt)), nil
	}
	return nil, usageError("--log-format is %q: use text or json", l.format)
}
