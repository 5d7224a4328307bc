package reports

// sample is a report with every field set, as a run leaves it.
func sample() *Report {
	code := 3
	p := Policy{
		Egress: "enforce", AllowedDomains: []string{"github.com"}, DeniedDomains: []string{"gist.github.com"},
		AllowedInternal: []string{"db:5432"}, ConfigSHA256: "c0",
	}
	p.SHA256, _ = p.Digest()
	proc := Process{PID: 42, Exe: "/usr/bin/curl", Cmdline: "curl evil.test", Parents: []string{"/bin/bash"}}
	return &Report{
		Schema: Schema, ID: "0f3c", Version: "1.2.3", Outcome: AgentFailed, ExitCode: 1, FailOn: []string{"gate"},
		StartedAt: noon, FinishedAt: noon.Add(1500e6), DurationMs: 1500,
		Phases:  []Phase{{"gateway", 90, 250}, {"agent", 400, 900}},
		Engine:  Engine{Version: "20.10.24", OS: "Debian 12", Kernel: "6.1", Rootless: true, Host: "unix:///var/run/docker.sock"},
		Sandbox: Sandbox{UID: 1000, GID: 1000, Limits: Limits{TimeoutMs: 1, MemoryBytes: 2, CPUs: 1.5, PIDs: 3, ShmBytes: 4, MinFreeDiskBytes: 5}},
		Agent: Agent{
			Name: "shell", Version: "1", Model: "m", Command: []string{"sh"}, Image: "i", ImageDigest: "sha256:d", ExitCode: &code, Signal: "SIGKILL",
			OOMKilled: true, CPUMs: 6, MaxRSSBytes: 7,
		},
		Workspace: Workspace{Path: "/w", Mode: "copy", ModeReason: "remote", Git: &Git{"h", "main", true}, Hidden: []string{".env"}},
		Changes: Changes{
			Files: []FileChange{{
				Path: "b", OldPath: "a", Status: "renamed", Insertions: 1, Deletions: 2, Binary: true, Mode: "100755", OldMode: "100644",
			}},
			Insertions: 1, Deletions: 2, Patch: &Patch{"changes.patch", "aa", 9}, Ignored: Ignored{1, 2},
			NotCarried: []NotCarried{{"fifo", "a named pipe"}},
		},
		Network: Network{
			Egress: "enforce", Upstream: "http://proxy:3128", Allowed: 1, Denied: 2, WouldDeny: 3, Complete: true,
			Destinations: []Destination{{
				Name: "evil.test", Addr: "198.51.100.1", Port: 443, Layer: LayerTLS, Verdict: Deny, Reason: "no rule", Count: 2,
				BytesIn: 3, BytesOut: 4, Processes: []Process{proc}, MoreProcesses: true, Folded: true,
			}},
		},
		Gate: Gate{Passed: true, Findings: []Finding{{"symlink", Warn, "l", "new"}}},
		Usage: Usage{
			Requests: 1, InputTokens: 2, OutputTokens: 3, CachedInputTokens: 4, CostUSD: 0.5,
			Models: []ModelUsage{{"a", "m", 1, 2, 3, 4, 0.5, true, 6}},
		},
		Transcript: Transcript{
			Format: "claude", Turns: 1, Tools: 2, Final: "done", Error: "none", Omitted: 3,
			Steps: []Step{{StepTool, 1, 2, "Bash", "ls", "a", true, "text", true, 1}},
		},
		SelfTest:  []Check{{"udp", "refused", "counter"}},
		Policy:    p,
		Artifacts: []Artifact{{"network.jsonl", "bb", 10}},
		Errors:    []string{"one"},
	}
}

// sampleEvent has every field set.
func sampleEvent() Event {
	return Event{
		Time: noon, Verdict: WouldDeny, Layer: LayerHTTP, Proto: "tcp", Name: "a.test", QType: "A", Addr: "198.51.100.1", Port: 80,
		Rule: "a.test", Reason: "r", Process: &Process{PID: 1, Exe: "e", Cmdline: "c", Parents: []string{"p"}}, BytesIn: 1, BytesOut: 2,
		Count: 3, Method: "GET", Path: "/", Status: 403,
	}
}
