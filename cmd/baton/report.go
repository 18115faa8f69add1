package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"baton/tui/record"
	"baton/tui/report"
)

func reportCommand() *cobra.Command {
	var asJSON, markdown, use bool
	c := &cobra.Command{
		Use:   "report FILE",
		Short: "Say what happened in a recorded run: failovers in phases, and why each took its time",
		Args:  oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if markdown && (asJSON || use) {
				return usageError("--markdown goes neither with --json nor with --use")
			}
			rec, err := readRecording(args[0])
			if err != nil {
				return err
			}
			if use {
				return printUse(cmd.OutOrStdout(), rec, asJSON)
			}
			last, err := rec.Last()
			if err != nil {
				return err
			}
			r := report.Of(last, rec.Events(), rec.Header.At)
			if rec.Torn {
				r.Problems = append(r.Problems, "the recording ends in the middle: what came after is not in it")
			}
			out := cmd.OutOrStdout()
			switch {
			case asJSON:
				enc := json.NewEncoder(out)
				enc.SetIndent("", "  ")
				return enc.Encode(r)
			case markdown:
				_, err = fmt.Fprint(out, r.Markdown())
			default:
				_, err = fmt.Fprint(out, r.Text())
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for scripts")
	c.Flags().BoolVar(&markdown, "markdown", false, "for documents")
	c.Flags().BoolVar(&use, "use", false, "instead: memory and goroutines of the console and the nodes, once a minute, and how much they grew")
	return c
}

// printUse says what the processes of a recorded run used, once a minute.
func printUse(w io.Writer, rec *record.Recording, asJSON bool) error {
	samples, err := rec.Use(time.Minute)
	if err != nil {
		return err
	}
	u := report.OfUse(samples)
	if !asJSON {
		_, err = fmt.Fprint(w, u.Text())
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(u)
}
