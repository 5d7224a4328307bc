package workspace

import "slices"

// DefaultProtect are the globs of files that decide what runs on other machines, or what other agents and editors do: nobody
// should merge a change of them unread. A later pattern with ! in front takes back.
func DefaultProtect() []string {
	return slices.Concat(protectedCI[:], protectedGit[:], protectedHooks[:], protectedTools[:], protectedAgents[:])
}

// Configuration of CI and deployment systems, by the names that their manuals give. GitHub's is below .git*.
var protectedCI = [...]string{
	".gitlab-ci*.y*ml", ".gitlab", "Jenkinsfile*", "*.jenkinsfile", ".jenkins", ".circleci", "azure-pipelines*.y*ml", "azure-pipelines", ".azure-pipelines", ".pipelines", ".azuredevops",
	".vsts-ci.y*ml", "bitbucket-pipelines.y*ml", ".travis.y*ml", "appveyor.y*ml", ".appveyor.y*ml", ".drone.y*ml", ".drone.jsonnet", ".drone.star",
	".woodpecker", ".woodpecker.y*ml", ".buildkite", "buildspec*.y*ml", "appspec.y*ml", "cloudbuild*.y*ml", ".cirrus.y*ml", ".cirrus.star", ".semaphore", ".teamcity",
	".tekton", ".forgejo", ".gitea", ".builds", ".build.y*ml", "wercker.y*ml", ".ci", ".harness", "codefresh.y*ml", "codemagic.y*ml", "bitrise.y*ml", ".screwdriver.y*ml",
	"screwdriver.y*ml", ".gocd.y*ml", "*.gocd.y*ml", "ci_scripts", ".prow.y*ml", ".prow", ".zuul.y*ml", ".zuul.d", "zuul.y*ml", "zuul.d", ".sourcehut", ".bazelci", ".evergreen.y*ml", ".shippable.y*ml",
	"shippable.y*ml", ".nevercode.y*ml", ".onedev-buildspec.y*ml", "netlify.toml", "vercel.json", "render.y*ml", "fly.toml", "railway.json", "railway.toml", "app.y*ml", "skaffold.y*ml", "amplify.y*ml",
	".mergify.y*ml", ".mergify", "renovate.json*", ".renovaterc*", "dependabot.y*ml",
}

// Configuration, attributes, ignore rules, submodules, and .github with its workflows. An empty .gitkeep does nothing; a folder of that name may hold
// anything.
var protectedGit = [...]string{".git*", "!.gitkeep", "**/.gitkeep/*", "CODEOWNERS"}

// What runs when somebody commits or merges.
var protectedHooks = [...]string{
	".husky", ".githooks", ".hooks", "lefthook*.y*ml", ".lefthook*", "lefthook*.toml", "lefthook*.json", ".pre-commit-config.y*ml", ".pre-commit-hooks.y*ml", ".overcommit.y*ml",
	"captainhook.json", ".simple-git-hooks.*", "simple-git-hooks.*", ".huskyrc*", "husky.config.*", ".lintstagedrc*", "lint-staged.config.*",
}

// What editors and shells run or trust when somebody opens the folder.
var protectedTools = [...]string{
	".vscode", ".idea", ".fleet", ".zed", "*.code-workspace", ".vs", ".vim", ".nvim.lua", ".nvimrc", ".exrc", ".vimrc", ".dir-locals*.el", ".devcontainer", ".devcontainer.json", ".envrc",
	".mise*.toml", "mise*.toml", ".mise", ".gitpod.y*ml", ".ona", ".idx", ".replit", "replit.nix", ".yolo-run*",
}

// Instructions, settings and tools of agents.
var protectedAgents = [...]string{
	".mcp.json", "mcp.json", ".claude", ".claude.json", "CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", "AGENTS.override.md", "AGENT.md", ".agents", ".agent", "GEMINI.md", ".gemini", ".geminiignore",
	".codex", ".cursor", ".cursorrules", ".cursorignore", ".windsurf", ".windsurfrules", ".clinerules", ".cline", ".roo", ".roorules*", ".kilocode", ".aider*", ".continue", ".continuerules", ".junie",
	".goosehints", ".goose", ".opencode", "opencode.json*", ".crush*", "crush.json", "CRUSH.md", ".amp", ".augment*", ".kiro", ".trae", ".qwen", "QWEN.md", ".rules", ".openhands", ".copilot*", "SKILL.md",
}

// Files that say which code of others is brought in. A change is common, and worth a look at what it brings.
var lockFiles = [...]string{
	"package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.y*ml", "bun.lock*", "deno.lock", "go.sum", "go.work.sum", "Cargo.lock", "poetry.lock", "uv.lock", "pdm.lock", "pixi.lock",
	"pylock*.toml", "Pipfile.lock", "conda-lock.y*ml", "requirements*.txt", "Gemfile.lock", "composer.lock", "mix.lock", "rebar.lock", "pubspec.lock", "Podfile.lock", "Cartfile.resolved",
	"Package.resolved", "gradle.lockfile", "verification-metadata.xml", "packages.lock.json", "flake.lock", "MODULE.bazel.lock", ".terraform.lock.hcl", "conan.lock", "vcpkg-lock.json",
	"stack.yaml.lock", "cabal.project.freeze", "Manifest.toml",
}

// Files that run when somebody builds, tests or installs.
var buildFiles = [...]string{
	"Makefile*", "GNUmakefile", "*.mk", "Justfile", ".justfile", "*.just", "Taskfile*.y*ml", "Rakefile", "*.rake", "*.gemspec", "Dockerfile*", "*.Dockerfile", "Containerfile*", "*.Containerfile",
	"docker-compose*.y*ml", "compose*.y*ml", "docker-bake.*", "Earthfile", "Tiltfile", "Vagrantfile", "Procfile*", "setup.py", "setup.cfg", "noxfile.py", "tox.ini", "conftest.py", "sitecustomize.py",
	"build.rs", ".cargo", "build.gradle*", "settings.gradle*", "init.gradle*", "gradlew*", "gradle-wrapper.*", "mvnw*", ".mvn", "configure", "configure.ac", "meson.build", "CMakeLists.txt", "*.cmake", "BUILD",
	"*.bazel", "*.bzl", ".bazelrc", "binding.gyp", ".npmrc", ".yarnrc*", ".yarn", ".pnpmfile.*cjs", ".pnp.*", "bunfig.toml", "deno.json*", "gulpfile.*", "Gruntfile.*", "flake.nix", "shell.nix", "default.nix",
	".bundle", ".tool-versions", "go.work", "Directory.Build.*", "nuget.config",
}
