import { contract } from './contract.js';
import { libcameraSubject } from './libcamera-contract.js';

contract(libcameraSubject('rpicam-vid', 100));
