// Command play shows the console on a cluster that is not there, for looking
// at it and for driving it in a terminal multiplexer.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"baton/tui"
	_ "baton/tui/earlyterm"
	"baton/tui/style"
	"baton/tui/tuitest"
)

func main() {
	var o style.Options
	flag.StringVar(&o.Theme, "theme", "auto", "auto, dark, light or mono")
	flag.StringVar(&o.Color, "color", "auto", "auto, always or never")
	flag.BoolVar(&o.ASCII, "ascii", false, "draw with ASCII only")
	readOnly := flag.Bool("read-only", false, "refuse to act")
	slow := flag.Float64("slow", 20, "stretch failovers by this factor")
	flag.Parse()
	theme, err := style.Detect(o, os.Getenv)
	if err == nil {
		err = tui.Run(context.Background(), tui.Config{
			Source: &tuitest.Source{Slow: *slow}, Cluster: "demo", Launched: true, ReadOnly: *readOnly, Theme: theme,
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(tui.ExitCode(err))
}
