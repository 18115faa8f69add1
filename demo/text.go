package demo

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Text renders the report for people, 80 columns wide unless names are long.
func (r Report) Text() string {
	var b strings.Builder
	verdict := "PASSED: nothing receipted was lost, the cluster ended healthy"
	if err := r.Err(); err != nil {
		verdict = "FAILED"
	}
	fmt.Fprintln(&b, verdict)
	for _, p := range r.Problems {
		fmt.Fprintln(&b, "  - "+p)
	}
	if r.Interrupted {
		fmt.Fprintln(&b, "The run was interrupted before its planned end.")
	}
	fmt.Fprintf(&b, "\nMessages   sent %d, receipted %d, received %d in %.1f s\n", r.Sent, r.Receipted, r.Received, float64(r.ElapsedMS)/1000)
	fmt.Fprintf(&b, "           lost %d, duplicates %d, out of order %d\n", r.Lost, r.Duplicates, r.OutOfOrder)
	fmt.Fprintf(&b, "           in doubt %d (recovered %d), sent again %d, refused %d, redelivered %d\n", r.InDoubt, r.Recovered, r.Resent, r.Refused, r.Redelivered)
	fmt.Fprintf(&b, "           send p50 %.1f ms, p99 %.1f ms, longest gap %.0f ms\n", r.SendP50MS, r.SendP99MS, r.LongestGapMS)
	if len(r.Missing) > 0 {
		fmt.Fprintf(&b, "           missing: %s\n", strings.Join(r.Missing, " "))
	}
	if len(r.Failovers) > 0 {
		fmt.Fprintln(&b, "\nFailovers, milliseconds since the fault")
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "  cause\tleader\tepoch\tsuspected\tsealed\telected\tpromoted\tfirst receipt")
		for _, f := range r.Failovers {
			fmt.Fprintf(w, "  %s\t%s -> %s\t%d\t%s\t%s\t%s\t%s\t%s\n", f.Cause, dash(f.LeaderBefore), dash(f.LeaderAfter), f.Epoch,
				ms(f.DetectedMS), ms(f.SealedMS), ms(f.ElectedMS), ms(f.PromotedMS), ms(f.FirstReceiptMS))
		}
		w.Flush()
	}
	fmt.Fprintln(&b, "\nNodes at the end")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  node\tprocess\trole\tepoch\tcommit\tchain")
	for _, n := range r.Nodes {
		process, role := n.Process, strings.TrimSuffix(n.Role+", "+n.State, ", ")
		if n.Cut {
			process += ", cut off"
		}
		if n.ExpectedDown {
			process += " (on purpose)"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%d\t%d\t%s at %d\n", n.Name, process, dash(strings.TrimPrefix(role, ", ")), n.Epoch, n.Commit, dash(n.ChainHash), n.ChainPosition)
	}
	w.Flush()
	if r.ChainsEqual {
		fmt.Fprintln(&b, "  equal at every position that they share")
	}
	return b.String()
}

func ms(v *float64) string {
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
