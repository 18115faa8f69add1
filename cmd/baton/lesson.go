package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"baton/demo/cluster"
	"baton/demo/lesson"
	"baton/demo/load"
	"baton/tui/data"
	"baton/tui/record"
)

// exitLesson says that a lesson's cluster did not show what the lesson says.
const exitLesson = 4

// listLessons prints the book.
func listLessons(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range lesson.Book() {
		fmt.Fprintf(t, "%s\t%s\t%s\n", l.Name, l.Title, l.About)
	}
	return t.Flush()
}

// runLesson takes a lesson without a terminal: a test of the broker.
func (f *demoFlags) runLesson(cmd *cobra.Command, l lesson.Lesson) error {
	rec, err := f.record.open(record.Header{Cluster: "demo", Launched: true}, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer closeRecord(rec, cmd.ErrOrStderr())
	began := time.Now()
	cfg := lesson.Config{Cluster: f.cluster, Load: f.load, Progress: func(line string) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%6.1fs  %s\n", time.Since(began).Seconds(), line)
	}}
	cfg.Watch = func(c *cluster.Cluster, ld *load.Load, s *lesson.Session) (func(), error) {
		return watchHeadless(c, ld, f.cli(), f.cluster.BasePort, rec, s.View)
	}
	o, err := lesson.Play(cmd.Context(), l, cfg)
	if err != nil {
		return launchFailure(err)
	}
	if f.asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		if err := enc.Encode(o); err != nil {
			return err
		}
	} else {
		fmt.Fprint(cmd.OutOrStdout(), o.Text())
	}
	if err := o.Err(); err != nil {
		return exitError{exitLesson, err}
	}
	return nil
}

// lead begins a lesson for a learner at the console; nil without one.
func (f *demoFlags) lead(ctx context.Context, local *localCluster) *lesson.Session {
	if f.lesson == "" {
		return nil
	}
	l, err := lesson.Find(f.lesson)
	if err != nil { // it was checked before
		return nil
	}
	s := lesson.NewSession(l, lesson.NewLive(local.c, local.running), false)
	go s.Run(ctx)
	return s
}

// lessonView is what a source shows of a lesson, nil without one.
func lessonView(s *lesson.Session) func() *data.Lesson {
	if s == nil {
		return nil
	}
	return s.View
}
