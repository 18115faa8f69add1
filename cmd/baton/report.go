package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"baton/tui/report"
)

func reportCommand() *cobra.Command {
	var asJSON, markdown bool
	c := &cobra.Command{
		Use:   "report FILE",
		Short: "Say what happened in a recorded run: failovers in phases, and why each took its time",
		Args:  oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && markdown {
				return usageError("choose one of --json and --markdown")
			}
			rec, err := readRecording(args[0])
			if err != nil {
				return err
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
	return c
}
