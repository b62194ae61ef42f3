// Checks the architecture rules (rules.mjs, file-rules.mjs) in the project, or in the copy of it named as the argument.
import { readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { cruise } from 'dependency-cruiser';
import { checkFiles } from './file-rules.mjs';
import { rules } from './rules.mjs';
import { root as project } from './setup.mjs';

const FOLDERS = ['src', 'simulator', 'console', 'tests', 'bench', 'tools'];

async function main(root) {
  const files = filesOf(root);
  const violations = [...checkFiles(root, files), ...(await checkImports(root, files))];
  for (const { rule, file, message } of violations) console.log(`${rule}: ${file}: ${message}`);
  console.log(`${files.length} files, ${violations.length} violations of the architecture rules`);
  return violations.length === 0;
}

/** Paths from `root`, with slashes. */
function filesOf(root) {
  const folders = readdirSync(root).filter((name) => FOLDERS.includes(name));
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/')),
  );
}

async function checkImports(root, files) {
  const code = files.filter((file) => file.endsWith('.ts'));
  const options = {
    baseDir: root,
    validate: true,
    ruleSet: { forbidden: rules },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    parser: 'tsc',
  };
  const { output } = await cruise(code, options, { extensions: ['.ts', '.mjs', '.js'] });
  assertAllSeen(code, output.modules);
  return output.summary.violations.map(({ rule, from, to }) => ({
    rule: rule.name,
    file: from,
    message: `${to}: ${rules.find(({ name }) => name === rule.name).comment}`,
  }));
}

/** Without a TypeScript compiler that it understands, dependency-cruiser sees no import at all, and finds nothing wrong. */
function assertAllSeen(code, modules) {
  const seen = new Map(modules.map((module) => [module.source, module]));
  const unseen = code.filter((file) => !seen.has(file));
  if (unseen.length > 0) throw new Error(`dependency-cruiser did not read ${unseen.join(', ')}`);
  if (!modules.some(({ dependencies }) => dependencies.length > 0))
    throw new Error('dependency-cruiser saw no imports');
}

if (!(await main(resolve(process.argv[2] ?? project)))) process.exitCode = 1;
