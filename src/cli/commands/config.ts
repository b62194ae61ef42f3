import { Command } from 'commander';
import { describeConfig, readConfig } from '#src/config.ts';
import { withExample, withJson } from '../options.ts';
import { printJson, printTable } from '../output.ts';

export function createCommand(): Command {
  const config = new Command('config').option('--changed', 'only those that are not at their default');
  withExample(withJson(config), 'config --changed');
  return config.action((options: { changed?: boolean; json?: boolean }) => {
    const all = describeConfig(readConfig(process.env));
    const settings = options.changed ? all.filter((setting) => process.env[setting.setting]) : all;
    if (options.json) return printJson(settings);
    printTable(
      settings,
      [
        { title: 'SETTING', value: (row) => row.setting, style: () => 'bold' },
        { title: 'VALUE', value: (row) => row.value },
        { title: 'DEFAULT', value: (row) => row.default },
        { title: 'MEANING', value: (row) => row.meaning },
      ],
      'every setting is at its default',
    );
  });
}
