// Rules on single files, which no import shows: names, lengths, barrels, and exports that nobody uses.
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';

const MAX_LINES = 400;
const SERVICE_FILES = [
  /^README\.md$/,
  /^(contract|index)\.ts$/,
  // A large one is one file for each part: refund.decider.ts. Views are the shapes of answers, which routes share.
  /^([a-z-]+\.)?(decider|saga|projections|queries|routes|views)\.ts$/,
  /^[a-z.-]+\.test\.ts$/,
  /^test-support\.ts$/,
  /^migrations\/\d{4}-[a-z0-9-]+\.sql$/,
  /^fixtures\/[a-z0-9.-]+\.v\d+\.json$/,
];

/** Names that one service needs besides, each with the reason. */
const NAMES_WITH_A_REASON = {
  'fraud/rules.ts': 'the rules are data from outside: their schema, and how they judge',
  'fraud/rules-file.ts': 'reads the rules again when their file changes',
  'gateway/provider.ts': 'the port to the gateways outside, whose adapters are in providers/',
  'gateway/providers/json-client.ts': 'what adapters over HTTP share',
  'gateway/providers/simulator.ts': 'the adapter of the simulator',
  'gateway/providers/webhook-signature.ts': 'how a gateway signs what it sends',
  'gateway/worker.ts': 'calls the gateways, which no decider can',
  'gateway/attempt.ts': 'one call of the worker, and what its outcome leads to',
  'gateway/reconciliation.ts': "compares a gateway's own record with ours",
  'gateway/settings.ts': 'what the worker and its attempts can be told',
  'metrics/sampler.ts': 'looks at the process from outside of any decision',
  'purchases/pricing.ts': 'what the lines of a request cost, by what the catalog has told',
  'wallets/ledger.ts': 'the accounts and postings of double entry',
};
const SERVICE_INDEX = /^src\/services\/[^/]+\/index\.ts$/;

export const FILE_RULES = ['max-lines', 'service-file-names', 'no-barrels', 'no-dead-exports'];

/** Checks the files (paths from `root`, with slashes), and returns what is wrong as `{ rule, file, message }`. */
export function checkFiles(root, files) {
  const code = files.filter((file) => /\.(ts|mjs)$/.test(file));
  const sources = new Map(code.map((file) => [file, parse(root, file)]));
  return [
    ...code.flatMap((file) => checkLength(file, sources.get(file))),
    ...files.flatMap(checkServiceName),
    ...code.flatMap((file) => checkBarrel(file, sources.get(file))),
    ...checkExports(sources),
  ];
}

function parse(root, file) {
  return ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest);
}

function checkLength(file, source) {
  const lines = source.getLineAndCharacterOfPosition(source.end).line;
  const message = `${lines} lines; the limit is ${MAX_LINES}`;
  return lines > MAX_LINES ? [{ rule: 'max-lines', file, message }] : [];
}

function checkServiceName(file) {
  const [, service, name] = /^src\/services\/([^/]+)\/(.+)$/.exec(file) ?? [];
  if (name === undefined || `${service}/${name}` in NAMES_WITH_A_REASON) return [];
  if (SERVICE_FILES.some((pattern) => pattern.test(name))) return [];
  return [
    { rule: 'service-file-names', file, message: 'not one of the file names that a service has (design: the house)' },
  ];
}

/** A barrel hides who needs what: modules are imported where they are. */
function checkBarrel(file, source) {
  if (SERVICE_INDEX.test(file)) return [];
  const reexports = source.statements.some(
    (statement) => ts.isExportDeclaration(statement) && statement.moduleSpecifier,
  );
  if (basename(file) !== 'index.ts' && !reexports) return [];
  return [{ rule: 'no-barrels', file, message: 're-exports other modules, or is called index.ts' }];
}

/** What neither another module nor its own uses is dead. */
function checkExports(sources) {
  const used = importedNames(sources);
  return [...sources].flatMap(([file, source]) =>
    exportedNames(source)
      .filter((name) => !used.has(`${file} ${name}`) && !used.has(`${file} *`) && countMentions(source, name) === 1)
      .map((name) => ({ rule: 'no-dead-exports', file, message: `nobody uses ${name}` })),
  );
}

function countMentions(node, name) {
  let count = ts.isIdentifier(node) && node.text === name ? 1 : 0;
  ts.forEachChild(node, (child) => {
    count += countMentions(child, name);
  });
  return count;
}

/** Values only: a type is exported for whoever wants to name what a function takes or returns. */
function exportedNames(source) {
  return source.statements.flatMap((statement) => {
    if (!isExported(statement)) return [];
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.map((declaration) => declaration.name.text);
    }
    return ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement) ? [statement.name.text] : [];
  });
}

function isExported(statement) {
  const kinds = (ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : []).map(({ kind }) => kind);
  return kinds.includes(ts.SyntaxKind.ExportKeyword) && !kinds.includes(ts.SyntaxKind.DefaultKeyword);
}

/** `file name` for each name that some module imports; `file *` where a module is imported as a whole. */
function importedNames(sources) {
  const used = new Set();
  for (const [file, source] of sources) {
    visitImports(source, (specifier, names) => {
      for (const name of names) used.add(`${resolve(file, specifier)} ${name}`);
    });
  }
  return used;
}

function visitImports(node, found) {
  if (ts.isImportDeclaration(node)) {
    const bindings = node.importClause?.namedBindings;
    const named = bindings !== undefined && ts.isNamedImports(bindings);
    found(
      node.moduleSpecifier.text,
      named ? bindings.elements.map((item) => (item.propertyName ?? item.name).text) : ['*'],
    );
  } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    if (ts.isStringLiteral(node.arguments[0])) found(node.arguments[0].text, ['*']);
  } else if (ts.isImportTypeNode(node)) {
    found(node.argument.literal.text, node.qualifier === undefined ? ['*'] : [firstName(node.qualifier)]);
  }
  ts.forEachChild(node, (child) => visitImports(child, found));
}

function firstName(qualifier) {
  return ts.isIdentifier(qualifier) ? qualifier.text : firstName(qualifier.left);
}

function resolve(file, specifier) {
  const alias = /^#(kernel|services|src)\/(.+)$/.exec(specifier);
  if (alias !== null) return alias[1] === 'src' ? `src/${alias[2]}` : `src/${alias[1]}/${alias[2]}`;
  return specifier.startsWith('.') ? join(dirname(file), specifier) : specifier;
}
