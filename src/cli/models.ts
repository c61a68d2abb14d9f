// `bitlane models`: the models of this device.
import type { AddCommand } from './commands.js';
import { addModelsImport } from './models-import.js';
import { addModelsRemove, addModelsUse } from './models-use.js';
import { addModelsVerify } from './models-verify.js';

export const addModels: AddCommand = (program, cli) => {
  const models = program
    .command('models')
    .description('the models of this device')
    .addHelpText('after', '\nExample:\n  bitlane models list');
  addModelsImport(models, cli);
  addModelsVerify(models, cli);
  addModelsUse(models, cli);
  addModelsRemove(models, cli);
};
