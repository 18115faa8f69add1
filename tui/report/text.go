package report

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Text renders the report for people, about 100 columns wide.
func (r Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s to %s (%v)  ended %s\n", r.Cluster, r.From.Format("2006-01-02 15:04:05"), r.To.Format("15:04:05"),
		r.To.Sub(r.From).Round(time.Second), r.Health)
	for _, p := range r.Problems {
		fmt.Fprintln(&b, "  ! "+p)
	}
	if m := r.Messages; m != nil {
		fmt.Fprintf(&b, "\nMessages\n  sent %d, receipted %d, received %d\n  lost %d, duplicates %d, out of order %d, in doubt %d\n",
			m.Sent, m.Receipted, m.Received, m.Lost, m.Duplicates, m.OutOfOrder, m.InDoubt)
	}
	for _, f := range r.Failovers {
		b.WriteString("\n" + f.Text())
	}
	if len(r.Compared) > 0 {
		b.WriteString("\nCompared, milliseconds from the fault to the first receipt\n")
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "  action\truns\tbest\tmedian\tworst\t")
		for _, c := range r.Compared {
			fmt.Fprintf(t, "  %s\t%d\t%.1f\t%.1f\t%.1f\t\n", c.Action, c.Runs, c.BestMS, c.MedianMS, c.WorstMS)
		}
		t.Flush()
	}
	if len(r.Actions) > 0 {
		b.WriteString("\nWhat was done\n")
		for _, a := range r.Actions {
			line := fmt.Sprintf("  %s  %s", a.At.Format("15:04:05.000"), a.Text)
			if twin := strings.Join(a.twins(), "; "); twin != "" {
				line += "   (" + twin + ")"
			}
			fmt.Fprintln(&b, line)
		}
	}
	b.WriteString("\nNodes at the end\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, n := range r.Nodes {
		fmt.Fprintf(t, "  %s\t%s\tepoch %d\tappend %d\tcommit %d\n", n.ID, n.State, n.Epoch, n.Append, n.Commit)
	}
	t.Flush()
	return b.String()
}

// twins are the ways to do an action again.
func (a Action) twins() []string {
	return slices.DeleteFunc([]string{a.Twin, a.Plan}, func(s string) bool { return s == "" })
}

// Title of a failover in one line.
func (f Failover) Title() string {
	to := f.LeaderAfter
	if to == "" {
		to = "nobody yet"
	}
	total := "not finished"
	if f.TotalMS != nil {
		total = fmt.Sprintf("%.1f ms to the first receipt", *f.TotalMS)
	}
	return fmt.Sprintf("Failover %d: %s, %s to %s, epoch %d to %d, %s", f.ID, f.Cause, dash(f.LeaderBefore), to, f.EpochBefore, f.Epoch, total)
}

// Text renders one failover for people.
func (f Failover) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  at %s\n", f.Title(), f.At.Format("15:04:05.000"))
	for _, p := range f.Phases {
		fmt.Fprintf(&b, "  %-14s %10s %10s   %s\n", p.Name, tookText(p.TookMS), atText(p.AtMS), p.Why)
	}
	if f.RedundantMS != nil {
		fmt.Fprintf(&b, "  redundant again after %.1f ms: a follower was in sync with the new leader\n", *f.RedundantMS)
	}
	return b.String()
}

// Markdown renders the report for documents.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Run of %s\n\n%s to %s, ended %s.\n", escape(r.Cluster), r.From.Format("2006-01-02 15:04:05"), r.To.Format("15:04:05"), r.Health)
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "\n**%s**\n", escape(p))
	}
	if m := r.Messages; m != nil {
		fmt.Fprintf(&b, "\n| sent | receipted | received | lost | duplicates | out of order | in doubt |\n|--:|--:|--:|--:|--:|--:|--:|\n| %d | %d | %d | %d | %d | %d | %d |\n",
			m.Sent, m.Receipted, m.Received, m.Lost, m.Duplicates, m.OutOfOrder, m.InDoubt)
	}
	for _, f := range r.Failovers {
		b.WriteString("\n" + f.Markdown())
	}
	if len(r.Compared) > 0 {
		b.WriteString("\n## Compared\n\n| action | runs | best ms | median ms | worst ms |\n|---|--:|--:|--:|--:|\n")
		for _, c := range r.Compared {
			fmt.Fprintf(&b, "| %s | %d | %.1f | %.1f | %.1f |\n", escape(c.Action), c.Runs, c.BestMS, c.MedianMS, c.WorstMS)
		}
	}
	if len(r.Actions) > 0 {
		b.WriteString("\n## What was done\n\n| time | action | command |\n|---|---|---|\n")
		for _, a := range r.Actions {
			twin := ""
			if t := a.twins(); len(t) > 0 {
				twin = "`" + strings.Join(t, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", a.At.Format("15:04:05.000"), escape(a.Text), twin)
		}
	}
	b.WriteString("\n## Nodes at the end\n\n| node | state | epoch | append | commit |\n|---|---|--:|--:|--:|\n")
	for _, n := range r.Nodes {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d |\n", escape(n.ID), escape(n.State), n.Epoch, n.Append, n.Commit)
	}
	return b.String()
}

// Markdown renders one failover for documents.
func (f Failover) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n| phase | took ms | since fault ms | why |\n|---|--:|--:|---|\n", escape(f.Title()))
	for _, p := range f.Phases {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.Name, tookText(p.TookMS), atText(p.AtMS), escape(p.Why))
	}
	if len(f.Candidates) > 0 {
		b.WriteString("\n| candidate | last epoch | durable end | |\n|---|--:|--:|---|\n")
		for _, c := range f.Candidates {
			won := ""
			if c.Won {
				won = "elected"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", escape(c.Node), escape(c.LastEpoch), escape(c.Position), won)
		}
	}
	return b.String()
}

func tookText(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("+%.1f", *v)
}

func atText(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f", *v)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// escape keeps text from being read as Markdown.
func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "_", `\_`, "`", "'", "<", "&lt;", "\n", " ").Replace(s)
}
